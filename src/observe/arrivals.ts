/** When pods' records and interfaces came -> how long each has waited, for the moment in which it is enforced. */
import type { ClusterEvent, ObjectKey } from '../model/cluster.ts';
import { keyOf } from '../model/cluster.ts';

/** Milliseconds until now; absent where it was there before this process, or is not known. */
export interface Waited {
  /** Since the record of the pod with its address came. */
  readonly sinceRecord?: number;
  /** Since the interface was seen first. */
  readonly sinceInterface?: number;
}

export class Arrivals {
  readonly #node: string;
  readonly #clock: () => number;
  readonly #records = new Map<ObjectKey, number>();
  readonly #links = new Map<number, number>();

  constructor(node: string, clock: () => number = () => performance.now()) {
    this.#node = node;
    this.#clock = clock;
  }

  /** Records of pods; those of this node with an address count from the first one that has it. */
  noteEvents(events: readonly ClusterEvent[]): void {
    for (const event of events) {
      if (event.type === 'delete') {
        if (event.kind === 'Pod') this.#records.delete(event.key);
      } else if (event.object.kind === 'Pod' && event.object.node === this.#node && !event.object.hostNetwork) {
        const key = keyOf(event.object);
        if (event.object.addresses.length === 0) this.#records.delete(key);
        else if (!this.#records.has(key)) this.#records.set(key, this.#clock());
      }
    }
  }

  /** @param at of `performance.now()`, when its event came */
  noteLink(ifindex: number, at: number): void {
    this.#links.set(ifindex, at);
  }

  forgetLink(ifindex: number): void {
    this.#links.delete(ifindex);
  }

  waited(pod: ObjectKey, ifindex: number): Waited {
    const record = this.#records.get(pod);
    const link = this.#links.get(ifindex);
    return {
      ...(record !== undefined && { sinceRecord: rounded(this.#clock() - record) }),
      ...(link !== undefined && { sinceInterface: rounded(this.#clock() - link) }),
    };
  }
}

/** Microseconds are what a log line needs. */
export function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
