/** When the source has last said anything about each kind of object: what is known is as fresh as that. */
import type { Kind } from '../model/cluster.ts';

export class Hearing {
  readonly #clock: () => number;
  readonly #heard = new Map<Kind, number>();

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  note(kind: Kind): void {
    this.#heard.set(kind, this.#clock());
  }

  /** Seconds of silence by kind; empty for a source that speaks only when something changes. */
  silence(): ReadonlyMap<Kind, number> {
    const now = this.#clock();
    return new Map([...this.#heard].map(([kind, at]) => [kind, (now - at) / 1000]));
  }
}
