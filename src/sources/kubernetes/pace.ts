/**
 * Lines that come in faster than it is worth waking up for each -> looked at together, a little later. What comes now and then
 * is looked at when it comes. Most of what a busy cluster says changes nothing; each time it is looked at costs more than it does.
 */
import type { SchedulerLike, Subscription } from 'rxjs';

/** Milliseconds that something may lie there. */
const HELD_MS = 15;
/** So many arrivals within so many milliseconds are many: 140 in a second. */
const MANY = { arrivals: 32, within: 230 } as const;
/** Bytes that lie there at most: who says so much says it in a list. */
const MOST_BYTES = 256 * 1024;

export class Pace {
  readonly #scheduler: SchedulerLike;
  /** Of the last arrivals, the oldest at `#next`. */
  readonly #times = new Float64Array(MANY.arrivals).fill(Number.NEGATIVE_INFINITY);
  #next = 0;
  readonly #held = new Set<() => void>();
  #bytes = 0;
  #timer: Subscription | undefined;

  constructor(scheduler: SchedulerLike) {
    this.#scheduler = scheduler;
  }

  /** Something lies there. @param take takes all that does, now or within `HELD_MS`; it may be called when nothing is left */
  arrived(take: () => void, bytes: number): void {
    const now = this.#scheduler.now();
    const oldest = this.#times[this.#next] as number;
    this.#times[this.#next] = now;
    this.#next = (this.#next + 1) % MANY.arrivals;
    this.#held.add(take);
    this.#bytes += bytes;
    if (now - oldest > MANY.within || this.#bytes > MOST_BYTES) this.flush();
    else this.#timer ??= this.#scheduler.schedule(() => this.flush(), HELD_MS);
  }

  /** Nothing lies there any more. */
  flush(): void {
    this.#timer?.unsubscribe();
    this.#timer = undefined;
    this.#bytes = 0;
    const all = [...this.#held];
    this.#held.clear();
    for (const take of all) take();
  }

  /** Idempotent. */
  close(): void {
    this.#timer?.unsubscribe();
    this.#timer = undefined;
    this.#held.clear();
  }
}
