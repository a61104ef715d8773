import { type EarlierSlots, NO_EARLIER_SLOTS } from './earlier-slots.ts';

/**
 * Slot numbers, handed out round robin: packets with a slot's mark may still lie in queues, so the one freed last comes again
 * last. Which one that was, an agent before this one has told nobody, so the round begins at a random place.
 */
export class SlotPool {
  #used: Set<number>;
  readonly #size: number;
  #next: number;
  #earlier: EarlierSlots;

  /** @param size numbers are 1 to size - 1 @param used those that are not free, by an agent before this one @param random from 0 to less than 1 */
  constructor(
    size: number,
    used: Iterable<number>,
    earlier: EarlierSlots = NO_EARLIER_SLOTS,
    random: () => number = Math.random,
  ) {
    this.#size = size;
    this.#earlier = earlier;
    this.#used = new Set(used);
    this.#next = 1 + Math.floor(random() * (size - 1));
  }

  /** Takes over a number that is in use already, for the same endpoint. */
  keep(slot: number): void {
    this.#used.add(slot);
  }

  /**
   * The number that the interface has in the maps of another layout, else the next that nobody has there or here;
   * `size` or more when none is left, for the caller's check of what fits.
   */
  take(ifindex: number): number {
    const earlier = this.#earlier.ofInterface.get(ifindex) ?? this.#size;
    if (earlier < this.#size && !this.#used.has(earlier)) return this.#mark(earlier);
    const next = this.next();
    if (next !== undefined) {
      this.#next = next + 1;
      return this.#mark(next);
    }
    let beyond = this.#size;
    while (this.#used.has(beyond)) beyond++;
    return this.#mark(beyond);
  }

  /** What `take` gives to an interface that has no number in another layout's maps; undefined when none is left. */
  next(): number | undefined {
    for (let tried = 1; tried < this.#size; tried++, this.#next++) {
      if (this.#next >= this.#size) this.#next = 1;
      if (!this.#used.has(this.#next) && !this.#earlier.used.has(this.#next)) return this.#next;
    }
    return undefined;
  }

  /** No program of another layout marks packets any more. */
  forgetEarlier(): void {
    this.#earlier = NO_EARLIER_SLOTS;
  }

  /** Only these are in use: what else was taken was for a state that did not come to be. */
  restart(used: Iterable<number>): void {
    this.#used = new Set(used);
  }

  release(slot: number): void {
    this.#used.delete(slot);
  }

  #mark(slot: number): number {
    this.#used.add(slot);
    return slot;
  }
}
