/**
 * Port sets -> extents of the `ports` map. Equal sets share one extent, whoever uses them. One that nobody uses stands until
 * the update is over: what is wanted again by then is where it was and need not be written.
 */
import { FreeExtents } from './free-extents.ts';
import type { Table } from './table.ts';
import type { AdmittedRange, Extent } from './tables.ts';

/** Ranges with one text for equal ones; they have a place in the map only while they are taken. */
export interface PortContent {
  readonly ranges: readonly AdmittedRange[];
  readonly key: string;
}

/** An interned set of ranges; two sets are equal when they are the same object. */
export interface PortSet extends PortContent {
  /** Moves when the extents are packed. */
  readonly extent: Extent;
}

/** Whoever brings a content first has it become the set. */
interface Interned extends PortSet {
  extent: Extent;
  uses: number;
}

export function contentOf(ranges: readonly AdmittedRange[]): PortContent {
  const key = ranges.flatMap(({ protocol, from, to, rule }) => [protocol, from, to, rule]).join();
  const content: Interned = { ranges, key, extent: NOWHERE, uses: 0 };
  return content;
}

const NOWHERE: Extent = { first: 0, count: 0 };

export class PortSets {
  readonly #table: Table<number, AdmittedRange>;
  readonly #sets = new Map<string, Interned>();
  #free = new FreeExtents();
  /** Extents that the copy in force has for sets that may be wanted again; kept free of others until `settle`. */
  readonly #adopted = new Map<string, Extent>();
  readonly #unused = new Set<Interned>();

  constructor(table: Table<number, AdmittedRange>) {
    this.#table = table;
  }

  /** Where a set stood before a restart, so that it stands there again. */
  adopt(ranges: readonly AdmittedRange[], extent: Extent): void {
    const { key } = contentOf(ranges);
    if (!this.#adopted.has(key) && this.#free.reserve(extent)) this.#adopted.set(key, extent);
  }

  /** The update is over: frees what is not wanted, also of what was adopted. */
  settle(): void {
    for (const set of this.#unused) {
      this.#sets.delete(set.key);
      this.#clear(set);
      this.#free.give(set.extent);
    }
    this.#unused.clear();
    for (const extent of this.#adopted.values()) this.#free.give(extent);
    this.#adopted.clear();
  }

  /** The interned set; each `take` needs one `release`. Ranges are sorted, disjoint and at least one. */
  take(content: PortContent): PortSet {
    const { key, ranges } = content;
    const candidate = content as Interned;
    let set = candidate.uses > 0 ? candidate : this.#sets.get(key);
    if (set === undefined) {
      set = candidate;
      set.extent = this.#place(key, ranges.length);
      this.#sets.set(key, set);
      this.#fill(set);
    }
    if (set.uses++ === 0) this.#unused.delete(set);
    return set;
  }

  release(portSet: PortSet): void {
    const set = portSet as Interned;
    if (--set.uses === 0) this.#unused.add(set);
  }

  /** How many elements the map must have. */
  get end(): number {
    return this.#free.end;
  }

  /** Moves all extents together, so that `end` is the sum of their lengths. Whoever refers to extents must look again. */
  pack(): void {
    for (const set of this.#sets.values()) this.#clear(set);
    this.#free = new FreeExtents();
    for (const set of this.#sets.values()) {
      set.extent = this.#free.take(set.ranges.length);
      this.#fill(set);
    }
  }

  #place(key: string, count: number): Extent {
    const adopted = this.#adopted.get(key);
    if (adopted === undefined) return this.#free.take(count);
    this.#adopted.delete(key);
    return adopted;
  }

  #fill({ ranges, extent }: PortSet): void {
    for (const [i, range] of ranges.entries()) this.#table.set(extent.first + i, range);
  }

  #clear({ extent }: PortSet): void {
    for (let i = 0; i < extent.count; i++) this.#table.delete(extent.first + i);
  }
}
