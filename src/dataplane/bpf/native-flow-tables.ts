/** The endpoints' tables of flows in the kernel: two maps of maps, by slot. */
import { BpfMap, type BpfObject, type MapSpec } from '../../native.ts';
import type { Abi } from './abi.ts';
import { readTable } from './copies.ts';
import type { FlowPins } from './flow-pins.ts';
import type { FlowFamily, FlowTableId, FlowTableStore, KernelMap, NewFlowTable } from './kernel.ts';
import { SIDES } from './object.ts';
import { keysOf, nameOf, type Spare, SpareTables } from './spare-tables.ts';
import { whenIn } from './table-arrival.ts';
import { makeTables, u32Of } from './tables.ts';

export interface NativeFlowTablesParts {
  readonly object: BpfObject;
  readonly abi: Abi;
  /** Of a table, which libbpf has forgotten once the object is loaded. */
  readonly specs: ReadonlyMap<FlowFamily, MapSpec>;
  readonly generation: () => bigint;
  /** Whether the kernel lists a map of maps at once. */
  readonly lists: boolean;
  readonly pins: FlowPins;
  /** Tables may come along from another layout's maps. */
  readonly upgrades: boolean;
}

export class NativeFlowTables implements FlowTableStore {
  readonly #parts: NativeFlowTablesParts;
  /** Those that are there, or perhaps, by family and slot. */
  readonly #known = new Map<string, FlowTableId>();
  readonly #spares: SpareTables;

  constructor(parts: NativeFlowTablesParts) {
    this.#parts = parts;
    this.#spares = new SpareTables({ outer: (family) => this.#outer(family), make: (table) => this.#new(table) });
  }

  *existing(): Generator<FlowTableId> {
    const { lists, upgrades } = this.#parts;
    for (const table of lists && !upgrades ? this.#listed() : this.#ofEndpoints()) {
      this.#known.set(nameOf(table), table);
      yield table;
    }
  }

  *#listed(): Generator<FlowTableId> {
    for (const family of [4, 6] as const) {
      const { count, keys } = this.#outer(family).entriesBatch();
      for (let i = 0; i < count; i++) yield { family, slot: u32Of(keys.subarray(i * 4, i * 4 + 4)) };
    }
  }

  /**
   * Those of the endpoints in force, which were there before them. What else an agent has left that was killed stays until
   * its slot is given again, which puts another table in its place: also one that was killed while it took over from another
   * layout, so that pods keep their slots when that is tried again.
   */
  *#ofEndpoints(): Generator<FlowTableId> {
    const { object, abi, generation } = this.#parts;
    yield* tablesOf(object.map(`endpoints_${SIDES[Number(generation() & 1n)]}`), abi);
  }

  async create(tables: readonly NewFlowTable[]): Promise<void> {
    for (const table of tables) this.#known.set(nameOf(table), table);
    const spares = await this.#spares.take(tables);
    const missing: NewFlowTable[] = [];
    try {
      for (const table of tables) if (!(await this.#adopt(table, spares.get(table)))) missing.push(table);
      await allOf(byFamily(missing).map(([family, ofFamily]) => this.#createIn(family, ofFamily)));
    } catch (error) {
      // What a thread still puts in must not come after what the next attempt puts there.
      await Promise.allSettled(Array.from(spares.values(), ({ batch }) => batch));
      throw error;
    } finally {
      for (const { table } of spares.values()) table.close();
    }
  }

  async provide(tables: readonly FlowTableId[]): Promise<void> {
    // Where the kernel does not list it, an agent that comes later would not find one that nobody got.
    if (this.#parts.lists) await this.#spares.provide(tables);
  }

  /** Whether the spare is there, and its owner's now. */
  async #adopt(id: NewFlowTable, spare: Spare | undefined): Promise<boolean> {
    if (spare === undefined) return false;
    const { table, batch } = spare;
    if (this.#parts.pins.has(id)) {
      // What this owner has had comes in its place, once it is there.
      await batch.catch(() => {});
      return false;
    }
    this.#parts.pins.pin(id, table);
    return await whenIn({ outer: this.#outer(id.family), slot: id.slot, table, batch });
  }

  async delete(tables: readonly FlowTableId[]): Promise<void> {
    this.#parts.pins.remove(tables);
    for (const table of tables) this.#known.delete(nameOf(table));
    const deletions = byFamily(tables).map(async ([family, ofFamily]) => {
      await this.#outer(family).deleteInnerBatch(keysOf(ofFamily), ofFamily.length);
    });
    await allOf(deletions);
  }

  /** Pins go that nobody asks for any more: of tables that have not come along, or of an agent that was killed. */
  forgetOthers(): void {
    this.#parts.pins.keep(this.#known.values());
  }

  close(): void {
    this.#spares.close();
  }

  async #createIn(family: FlowFamily, wanted: readonly NewFlowTable[]): Promise<void> {
    const outer = this.#outer(family);
    const tables: BpfMap[] = [];
    try {
      for (const one of wanted) tables.push(this.#make(one));
      const batch = outer.setInnerBatch(keysOf(wanted), tables);
      const last = wanted.at(-1) as NewFlowTable;
      const isIn = await whenIn({ outer, slot: last.slot, table: tables.at(-1) as BpfMap, batch });
      if (!isIn) throw new Error(`somebody has taken ${nameOf(last)} out again`);
    } finally {
      for (const table of tables) table.close();
    }
  }

  #make(table: NewFlowTable): BpfMap {
    const { pins, specs } = this.#parts;
    const spec = specs.get(table.family) as MapSpec;
    const before = pins.open(table, spec);
    if (before !== undefined) return before;
    const made = this.#new(table);
    try {
      pins.pin(table, made);
    } catch (error) {
      made.close();
      throw error;
    }
    return made;
  }

  #new(table: FlowTableId): BpfMap {
    const { type, keySize, valueSize, maxEntries, flags } = this.#parts.specs.get(table.family) as MapSpec;
    return BpfMap.create({ type, keySize, valueSize, maxEntries, flags, name: nameOf(table) });
  }

  #outer(family: FlowFamily): BpfMap {
    return this.#parts.object.map(outerName(family));
  }
}

/** Those that the endpoints of a copy need. */
export function* tablesOf(endpoints: KernelMap, abi: Abi): Generator<FlowTableId> {
  for (const [slot, { address4, address6 }] of readTable(endpoints, makeTables(abi).endpoints)) {
    if (address4 !== undefined) yield { family: 4, slot };
    if (address6 !== undefined) yield { family: 6, slot };
  }
}

export function outerName(family: FlowFamily): string {
  return `flows${family}`;
}

/** Resolves when all have ended, so that none goes on behind the next attempt. @throws what the first one rejects with */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
}

/** Families that have any, with theirs. */
function byFamily<T extends FlowTableId>(tables: readonly T[]): [family: FlowFamily, tables: T[]][] {
  const families = ([4, 6] as const).map((family): [FlowFamily, T[]] => {
    return [family, tables.filter((table) => table.family === family)];
  });
  return families.filter(([, ofFamily]) => ofFamily.length > 0);
}
