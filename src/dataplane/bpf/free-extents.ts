/** Which stretches of an array are free: first fit, neighbours joined. Endless; whoever uses it checks where it ends. */
import type { Extent } from './tables.ts';

export class FreeExtents {
  /** Sorted, disjoint, never touching. */
  #free: Extent[] = [{ first: 0, count: Number.POSITIVE_INFINITY }];

  /** First index of the last stretch: nothing from here on is in use. */
  get end(): number {
    return (this.#free.at(-1) as Extent).first;
  }

  take(count: number): Extent {
    const i = this.#free.findIndex((extent) => extent.count >= count);
    const { first } = this.#free[i] as Extent;
    const taken = { first, count };
    this.#cut(i, taken);
    return taken;
  }

  /** Takes exactly this stretch. @returns false when part of it is in use */
  reserve(extent: Extent): boolean {
    const i = this.#free.findIndex(
      ({ first, count }) => first <= extent.first && extent.first + extent.count <= first + count,
    );
    if (i < 0) return false;
    this.#cut(i, extent);
    return true;
  }

  give(extent: Extent): void {
    let { first, count } = extent;
    let i = this.#free.findIndex((free) => free.first > first);
    const after = this.#free[i] as Extent;
    const before = this.#free[i - 1];
    let replaced = 0;
    if (first + count === after.first) {
      count += after.count;
      replaced++;
    }
    if (before !== undefined && before.first + before.count === first) {
      first = before.first;
      count += before.count;
      replaced++;
      i--;
    }
    this.#free.splice(i, replaced, { first, count });
  }

  #cut(i: number, taken: Extent): void {
    const { first, count } = this.#free[i] as Extent;
    const rest: Extent[] = [];
    if (taken.first > first) rest.push({ first, count: taken.first - first });
    const end = taken.first + taken.count;
    if (end < first + count) rest.push({ first: end, count: first + count - end });
    this.#free.splice(i, 1, ...rest);
  }
}
