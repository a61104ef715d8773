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
  readonly table: BpfMap;
  /** Puts it in. */
  readonly batch: Promise<void>;
}

interface Kept extends Spare {
  readonly id: FlowTableId;
}

export class SpareTables {
  readonly #parts: SpareTablesParts;
  /** By name. */
  readonly #kept = new Map<string, Kept>();
  /** Those whose slots were given to endpoints without their family, while they are taken out. */
  readonly #dropped = new Map<string, Promise<void>>();

  constructor(parts: SpareTablesParts) {
    this.#parts = parts;
  }

  /** Resolves when these are in, and what was dropped before is out. @throws {BpfError} */
  async provide(ids: readonly FlowTableId[]): Promise<void> {
    const missing = ids.filter((id) => !this.#kept.has(nameOf(id)));
    await Promise.all([...missing.map((id) => this.#provide(id)), ...this.#dropped.values()]);
  }

  async #provide(id: FlowTableId): Promise<void> {
    const table = this.#parts.make(id);
    const spare = { id, table, batch: this.#parts.outer(id.family).setInnerBatch(keysOf([id]), [table]) };
    this.#kept.set(nameOf(id), spare);
    try {
      await spare.batch;
    } catch (error) {
      if (this.#kept.get(nameOf(id)) === spare) this.#forget(spare);
      throw error;
    }
  }

  /** The one for this slot and family, which is the caller's now, to `letGo`. */
  async take(id: FlowTableId): Promise<Spare | undefined> {
    // A table that is put in now would go with it.
    await this.#dropped.get(nameOf(id));
    const spare = this.#kept.get(nameOf(id));
    this.#kept.delete(nameOf(id));
    return spare;
  }

  /** Endpoints get these slots with these families: what was made there for the other one is taken out. */
  dropOthers(taken: readonly FlowTableId[]): void {
    const names = new Set(taken.map(nameOf));
    const slots = new Set(taken.map(({ slot }) => slot));
    for (const [name, spare] of this.#kept) if (slots.has(spare.id.slot) && !names.has(name)) this.#drop(name, spare);
  }

  close(): void {
    for (const spare of this.#kept.values()) this.#forget(spare);
  }

  #drop(name: string, spare: Kept): void {
    this.#forget(spare);
    const { id, batch } = spare;
    // One that stays is replaced when its slot is given again.
    const over = () => void this.#dropped.delete(name);
    const gone = batch.then(() => this.#parts.outer(id.family).deleteInnerBatch(keysOf([id]), 1));
    this.#dropped.set(name, gone.then(over, over));
  }

  #forget(spare: Kept): void {
    this.#kept.delete(nameOf(spare.id));
    letGo(spare);
  }
}

/** Closes the table when it may be: a thread reads the number of its descriptor, which must not be another's by then. */
export function letGo({ table, batch }: Spare): void {
  const close = () => table.close();
  batch.then(close, close);
}

export function nameOf({ family, slot }: FlowTableId): string {
  return `flows${family}_${slot}`;
}

export function keysOf(tables: readonly FlowTableId[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(tables, ({ slot }) => slot).buffer);
}
