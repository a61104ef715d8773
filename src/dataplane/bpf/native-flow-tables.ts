/** The endpoints' tables of flows in the kernel: two maps of maps, by slot. */
import { setImmediate } from 'node:timers/promises';
import { BpfMap, type BpfObject, type MapSpec } from '../../native.ts';
import type { Abi } from './abi.ts';
import { readTable } from './copies.ts';
import type { FlowFamily, FlowTableId, FlowTableStore } from './kernel.ts';
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
}

export class NativeFlowTables implements FlowTableStore {
  readonly #parts: NativeFlowTablesParts;

  constructor(parts: NativeFlowTablesParts) {
    this.#parts = parts;
  }

  *existing(): Generator<FlowTableId> {
    if (!this.#parts.lists) return yield* this.#ofEndpoints();
    for (const family of [4, 6] as const) {
      const { count, keys } = this.#outer(family).entriesBatch();
      for (let i = 0; i < count; i++) yield { family, slot: u32Of(keys.subarray(i * 4, i * 4 + 4)) };
    }
  }

  /**
   * Those of the endpoints in force, which were there before them. What else an agent has left that was killed stays until
   * its slot is given again, which puts another table in its place.
   */
  *#ofEndpoints(): Generator<FlowTableId> {
    const { object, abi, generation } = this.#parts;
    const { endpoints } = makeTables(abi);
    const side = SIDES[Number(generation() & 1n)];
    for (const [slot, { address4, address6 }] of readTable(object.map(`endpoints_${side}`), endpoints)) {
      if (address4 !== undefined) yield { family: 4, slot };
      if (address6 !== undefined) yield { family: 6, slot };
    }
  }

  async create(tables: readonly FlowTableId[]): Promise<void> {
    await Promise.all(byFamily(tables).map(([family, slots]) => this.#createIn(family, slots)));
  }

  async delete(tables: readonly FlowTableId[]): Promise<void> {
    const deletions = byFamily(tables).map(([family, slots]) =>
      this.#outer(family).deleteInnerBatch(keysOf(slots), slots.length),
    );
    await Promise.all(deletions);
  }

  async #createIn(family: FlowFamily, slots: readonly number[]): Promise<void> {
    const outer = this.#outer(family);
    const { type, keySize, valueSize, maxEntries, flags } = this.#parts.specs.get(family) as MapSpec;
    const tables: BpfMap[] = [];
    try {
      for (const slot of slots) {
        tables.push(BpfMap.create({ type, keySize, valueSize, maxEntries, flags, name: `flows${family}_${slot}` }));
      }
      const batch = outer.setInnerBatch(keysOf(slots), tables);
      await whenIn({ outer, slot: slots.at(-1) as number, table: tables.at(-1) as BpfMap, batch });
    } finally {
      for (const table of tables) table.close();
    }
  }

  #outer(family: FlowFamily): BpfMap {
    return this.#parts.object.map(outerName(family));
  }
}

export function outerName(family: FlowFamily): string {
  return `flows${family}`;
}

/** Families that have any, with the slots. */
function byFamily(tables: readonly FlowTableId[]): [family: FlowFamily, slots: number[]][] {
  const families = ([4, 6] as const).map((family): [FlowFamily, number[]] => {
    return [family, tables.filter((table) => table.family === family).map(({ slot }) => slot)];
  });
  return families.filter(([, slots]) => slots.length > 0);
}

interface Putting {
  readonly outer: BpfMap;
  readonly slot: number;
  readonly table: BpfMap;
  readonly batch: Promise<void>;
}

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
  while (!over && !isIn()) await setImmediate();
  // One that broke off says why.
  if (over) await batch;
}

function keysOf(slots: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(slots).buffer);
}
