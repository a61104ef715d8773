/** The endpoints' tables of flows in the kernel: two maps of maps, by slot. */
import { setImmediate } from 'node:timers/promises';
import { BpfMap, type BpfObject, type MapSpec } from '../../native.ts';
import type { Abi } from './abi.ts';
import { readTable } from './copies.ts';
import type { FlowPins } from './flow-pins.ts';
import type { FlowFamily, FlowTableId, FlowTableStore, KernelMap, NewFlowTable } from './kernel.ts';
import { SIDES } from './object.ts';
import { makeTables, u32Bytes, u32Of } from './tables.ts';

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

  constructor(parts: NativeFlowTablesParts) {
    this.#parts = parts;
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
    await Promise.all(byFamily(tables).map(([family, ofFamily]) => this.#createIn(family, ofFamily)));
  }

  async delete(tables: readonly FlowTableId[]): Promise<void> {
    this.#parts.pins.remove(tables);
    for (const table of tables) this.#known.delete(nameOf(table));
    const deletions = byFamily(tables).map(([family, ofFamily]) =>
      this.#outer(family).deleteInnerBatch(keysOf(ofFamily), ofFamily.length),
    );
    await Promise.all(deletions);
  }

  /** Pins go that nobody asks for any more: of tables that have not come along, or of an agent that was killed. */
  forgetOthers(): void {
    this.#parts.pins.keep(this.#known.values());
  }

  async #createIn(family: FlowFamily, wanted: readonly NewFlowTable[]): Promise<void> {
    const outer = this.#outer(family);
    const tables: BpfMap[] = [];
    try {
      for (const one of wanted) tables.push(this.#make(one));
      const batch = outer.setInnerBatch(keysOf(wanted), tables);
      await whenIn({ outer, slot: wanted.at(-1)?.slot as number, table: tables.at(-1) as BpfMap, batch });
    } finally {
      for (const table of tables) table.close();
    }
  }

  #make(table: NewFlowTable): BpfMap {
    const { pins, specs } = this.#parts;
    const spec = specs.get(table.family) as MapSpec;
    const before = pins.open(table, spec);
    if (before !== undefined) return before;
    const { type, keySize, valueSize, maxEntries, flags } = spec;
    const made = BpfMap.create({ type, keySize, valueSize, maxEntries, flags, name: nameOf(table) });
    try {
      pins.pin(table, made);
    } catch (error) {
      made.close();
      throw error;
    }
    return made;
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

function nameOf({ family, slot }: FlowTableId): string {
  return `flows${family}_${slot}`;
}

/** Families that have any, with theirs. */
function byFamily<T extends FlowTableId>(tables: readonly T[]): [family: FlowFamily, tables: T[]][] {
  const families = ([4, 6] as const).map((family): [FlowFamily, T[]] => {
    return [family, tables.filter((table) => table.family === family)];
  });
  return families.filter(([, ofFamily]) => ofFamily.length > 0);
}

interface Putting {
  readonly outer: BpfMap;
  readonly slot: number;
  readonly table: BpfMap;
  readonly batch: Promise<void>;
}

/**
 * A thread has it done within half a millisecond, mostly. Meanwhile this one sleeps: on a busy machine it would hold the
 * core that the other waits for, and V8 collects its garbage in just the turns of the loop that are waited.
 */
const NAPS = { milliseconds: 0.05, most: 20 } as const;
const bed = new Int32Array(new SharedArrayBuffer(4));

/**
 * Resolves when programs find the table, which is before the batch that puts it in is over: that waits for a grace period.
 * A batch goes in order, so with its last table all are in.
 */
async function whenIn({ outer, slot, table, batch }: Putting): Promise<void> {
  let over = false;
  const end = () => {
    over = true;
  };
  batch.then(end, end);
  const isIn = () => u32Of(outer.get(u32Bytes(slot)) ?? u32Bytes(0)) === table.info.id;
  for (let naps = 0; naps < NAPS.most && !isIn(); naps++) Atomics.wait(bed, 0, 0, NAPS.milliseconds);
  while (!over && !isIn()) await setImmediate();
  // One that broke off says why.
  if (over) await batch;
}

function keysOf(tables: readonly FlowTableId[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(tables, ({ slot }) => slot).buffer);
}
