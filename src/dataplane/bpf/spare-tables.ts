/**
 * Tables of flows ahead of the endpoints that get them. To put one into its map of maps is a thread's work of up to some
 * milliseconds, for which a pod that just became known would wait.
 */
import type { BpfMap } from '../../native.ts';
import type { FlowFamily, FlowTableId } from './kernel.ts';

export interface SpareTablesParts {
  /** The map of maps. */
  readonly outer: (family: FlowFamily) => BpfMap;
  /** An empty table. @throws {BpfError} */
  readonly make: (id: FlowTableId) => BpfMap;
}

export interface Spare {
  readonly id: FlowTableId;
  readonly table: BpfMap;
  /** Puts it in. */
  readonly batch: Promise<void>;
}

export class SpareTables {
  readonly #parts: SpareTablesParts;
  /** By name. */
  readonly #kept = new Map<string, Spare>();
  /** Those that are taken out: nothing may be put in there meanwhile, which could go with them. */
  readonly #dropped = new Map<string, Promise<void>>();

  constructor(parts: SpareTablesParts) {
    this.#parts = parts;
  }

  /** Keeps these and no others. Resolves when they are in, and all others out. @throws {BpfError} */
  async provide(ids: readonly FlowTableId[]): Promise<void> {
    const wanted = new Set(ids.map(nameOf));
    for (const [name, spare] of this.#kept) if (!wanted.has(name)) this.#drop(name, spare);
    const missing = ids.filter((id) => !this.#kept.has(nameOf(id)) && !this.#dropped.has(nameOf(id)));
    await Promise.all([...missing.map((id) => this.#provide(id)), ...this.#dropped.values()]);
  }

  /** Those for these slots and families, which are the caller's now. */
  async take<Id extends FlowTableId>(ids: readonly Id[]): Promise<Map<Id, Spare>> {
    await Promise.all(ids.map((id) => this.#dropped.get(nameOf(id))));
    const taken = new Map<Id, Spare>();
    for (const id of ids) {
      const spare = this.#kept.get(nameOf(id));
      if (spare !== undefined) taken.set(id, spare);
      this.#kept.delete(nameOf(id));
    }
    return taken;
  }

  close(): void {
    for (const { table } of this.#kept.values()) table.close();
    this.#kept.clear();
  }

  async #provide(id: FlowTableId): Promise<void> {
    const spare = this.#put(id);
    this.#kept.set(nameOf(id), spare);
    try {
      await spare.batch;
    } catch (error) {
      // Who has taken it closes it.
      if (this.#kept.get(nameOf(id)) === spare) {
        this.#kept.delete(nameOf(id));
        spare.table.close();
      }
      throw error;
    }
  }

  #put(id: FlowTableId): Spare {
    const table = this.#parts.make(id);
    try {
      return { id, table, batch: this.#parts.outer(id.family).setInnerBatch(keysOf([id]), [table]) };
    } catch (error) {
      table.close();
      throw error;
    }
  }

  #drop(name: string, { id, table, batch }: Spare): void {
    this.#kept.delete(name);
    table.close();
    // One that stays is replaced when its slot is given again.
    const over = () => void this.#dropped.delete(name);
    const gone = batch.then(() => this.#parts.outer(id.family).deleteInnerBatch(keysOf([id]), 1));
    this.#dropped.set(name, gone.then(over, over));
  }
}

export function nameOf({ family, slot }: FlowTableId): string {
  return `flows${family}_${slot}`;
}

export function keysOf(tables: readonly FlowTableId[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(tables, ({ slot }) => slot).buffer);
}
