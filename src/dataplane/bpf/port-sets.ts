/**
 * Port sets -> extents of the `ports` map. Equal sets share one extent, whoever uses them; an extent that nobody uses is
 * free at once, because no copy is in force before it is whole.
 */
import { FreeExtents } from './free-extents.ts';
import type { Table } from './table.ts';
import type { AdmittedRange, Extent } from './tables.ts';

/** An interned set of ranges; two sets are equal when they are the same object. */
export interface PortSet {
  readonly ranges: readonly AdmittedRange[];
  /** Moves when the extents are packed. */
  readonly extent: Extent;
}

interface Interned extends PortSet {
  extent: Extent;
  readonly key: string;
  uses: number;
}

export class PortSets {
  readonly #table: Table<number, AdmittedRange>;
  readonly #sets = new Map<string, Interned>();
  #free = new FreeExtents();
  /** Extents that the copy in force has for sets that may be wanted again; kept free of others until `settle`. */
  readonly #adopted = new Map<string, Extent>();

  constructor(table: Table<number, AdmittedRange>) {
    this.#table = table;
  }

  /** Where a set stood before a restart, so that it stands there again. */
  adopt(ranges: readonly AdmittedRange[], extent: Extent): void {
    const key = keyOf(ranges);
    if (!this.#adopted.has(key) && this.#free.reserve(extent)) this.#adopted.set(key, extent);
  }

  /** Frees what was adopted and then not wanted. */
  settle(): void {
    for (const extent of this.#adopted.values()) this.#free.give(extent);
    this.#adopted.clear();
  }

  /** The interned set; each `take` needs one `release`. Ranges are sorted, disjoint and at least one. */
  take(ranges: readonly AdmittedRange[]): PortSet {
    const key = keyOf(ranges);
    let set = this.#sets.get(key);
    if (set === undefined) {
      set = { key, ranges, extent: this.#place(key, ranges.length), uses: 0 };
      this.#sets.set(key, set);
      this.#fill(set);
    }
    set.uses++;
    return set;
  }

  release(portSet: PortSet): void {
    const set = portSet as Interned;
    if (--set.uses > 0) return;
    this.#sets.delete(set.key);
    this.#clear(set);
    this.#free.give(set.extent);
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

function keyOf(ranges: readonly AdmittedRange[]): string {
  return ranges.map(({ protocol, from, to, rule }) => `${protocol}:${from}-${to}=${rule}`).join(' ');
}
