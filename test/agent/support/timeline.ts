/**
 * The states that a cluster went through, and when each could be in force -> which verdicts a probe may have met. A state
 * may be in force from the moment in which the agents could hear of it until a later one is known to be in force everywhere.
 */

export interface TimelineState {
  /** Sources that are admitted. */
  readonly admitted: ReadonlySet<string>;
  /** From when it could be in force; later than it was made where the server was away. */
  heard: number;
}

export class Timeline {
  readonly #states: TimelineState[] = [];
  /** Until when the states before this one could be in force. */
  readonly #ends: number[] = [];
  /** States that are made while nobody can hear of them. */
  #muted: TimelineState[] | undefined;

  constructor(admitted: Iterable<string>) {
    this.push(admitted);
  }

  get last(): TimelineState {
    return this.#states.at(-1) as TimelineState;
  }

  /** Call it before the change is made. */
  push(admitted: Iterable<string>): void {
    const state = { admitted: new Set(admitted), heard: this.#muted === undefined ? performance.now() : Infinity };
    this.#states.push(state);
    this.#ends.push(Infinity);
    this.#muted?.push(state);
  }

  /** The last state is in force everywhere: no earlier one is any more. */
  confirm(): void {
    const now = performance.now();
    for (let i = 0; i < this.#states.length - 1; i++) this.#ends[i] = Math.min(this.#ends[i] as number, now);
  }

  /** The server goes away, and has gone. */
  mute(): void {
    this.#muted ??= [];
  }

  /** Call it before the server is back. */
  unmute(): void {
    for (const state of this.#muted ?? []) state.heard = performance.now();
    this.#muted = undefined;
  }

  /** Verdicts of the states that could be in force at some time between these two. */
  verdicts(source: string, from: number, to: number): ReadonlySet<'allow' | 'deny'> {
    const possible = this.#states.filter(({ heard }, i) => heard <= to && (this.#ends[i] as number) >= from);
    return new Set(possible.map(({ admitted }) => (admitted.has(source) ? 'allow' : 'deny')));
  }
}
