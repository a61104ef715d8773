/** Gives out numbers: the wished one where it is free, else one given back before, else the next that was never used. */
export class NumberPool {
  readonly #first: number;
  readonly #used = new Set<number>();
  /** Freed below `#next`, as a stack; may hold numbers that a wish has taken since. */
  readonly #freed: number[] = [];
  #next: number;

  /** @param avoid numbers below it are first given only on a wish: somebody may still ask for the number it had */
  constructor(first: number, avoid = first) {
    this.#first = first;
    this.#next = Math.max(first, avoid);
  }

  take(wish?: number): number {
    if (wish !== undefined && wish >= this.#first && !this.#used.has(wish)) {
      this.#used.add(wish);
      return wish;
    }
    for (let free = this.#freed.pop(); free !== undefined; free = this.#freed.pop()) {
      if (!this.#used.has(free)) return this.#mark(free);
    }
    while (this.#used.has(this.#next)) this.#next++;
    return this.#mark(this.#next++);
  }

  release(number: number): void {
    if (this.#used.delete(number)) this.#freed.push(number);
  }

  #mark(number: number): number {
    this.#used.add(number);
    return number;
  }
}
