/** The real kernel: the loaded object, its pinned maps and the links in a directory of bpffs. */
import { setImmediate } from 'node:timers/promises';
import { BpfMap, type BpfObject, type MapSpec, RingBuffer } from '../../native.ts';
import type { CopiedMap } from './abi.ts';
import type { FlowFamily, FlowTableId, FlowTableStore, Kernel } from './kernel.ts';
import type { Lock } from './lock.ts';
import { loadObject, type ObjectOptions, SIDES } from './object.ts';
import { linksDirectory, makeDirectory, PinnedMaps } from './pins.ts';
import type { CopyIndex } from './table.ts';
import { u32Bytes, u32Of } from './tables.ts';
import { TcAttachments } from './tc-attachments.ts';

export interface NativeKernelOptions extends ObjectOptions {
  /** In a bpffs, of this node alone: /sys/fs/bpf/selvedge/NODE. */
  readonly directory: string;
  readonly attach?: 'auto' | 'tcx' | 'clsact';
}

export interface NativeKernel extends Kernel {
  readonly object: BpfObject;
  /** Delivers the records of the ring buffer; those of before too. */
  readEvents(onRecord: (record: Uint8Array) => void): void;
  /** Key and, for each possible CPU, value of every row of the counters. */
  counters(): [key: Uint8Array, values: Uint8Array][];
  /** What did not fit since the maps were made: 8 bytes for each possible CPU, by enum loss. */
  losses(): [key: Uint8Array, values: Uint8Array][];
}

/** Takes over what is pinned in the directory, or makes it. @throws {AbiMismatchError} @throws {BpfError} */
export function openNativeKernel(options: NativeKernelOptions, lock: Lock): NativeKernel {
  makeDirectory(options.directory);
  let pins: PinnedMaps | undefined;
  const tableSpecs = new Map<FlowFamily, MapSpec>();
  const { object, abi } = loadObject(options, (opened) => {
    pins = new PinnedMaps(options.directory, opened.object);
    pins.reuse(opened.object);
    // Once loaded, libbpf has forgotten the prototypes of inner maps.
    for (const family of [4, 6] as const) {
      const table = opened.object.maps.get(outerName(family))?.inner;
      if (table !== undefined) tableSpecs.set(family, table);
    }
  });
  pins?.pin(object);
  const memory = object.map('generation').mmap();
  const attachments = new TcAttachments({
    directory: linksDirectory(options.directory),
    mode: options.attach ?? 'auto',
    program: (name) => object.program(name),
  });
  let ring: RingBuffer | undefined;
  return {
    abi,
    object,
    attachments,
    generation: { load: () => memory.load64(0), store: (value) => memory.store64(0, value) },
    flows: new NativeFlowTables(object, tableSpecs),
    map: (name, copy) => object.map(sideOf(name, copy)),
    capacity: (name) => object.map(sideOf(name, 0)).info.maxEntries,
    gracePeriod: () => BpfMap.rcuGracePeriod(),
    readEvents: (onRecord) => {
      ring = new RingBuffer(object.map('events'), onRecord).unref();
    },
    counters: () => object.map('counters').entries(),
    losses: () => object.map('losses').entries(),
    removeOtherLayouts: () => pins?.removeOthers(),
    close: () => {
      ring?.close();
      memory.close();
      object.close();
      lock.release();
    },
  };
}

function sideOf(name: CopiedMap, copy: CopyIndex): string {
  return `${name}_${SIDES[copy]}`;
}

class NativeFlowTables implements FlowTableStore {
  readonly #object: BpfObject;
  readonly #specs: ReadonlyMap<FlowFamily, MapSpec>;

  constructor(object: BpfObject, specs: ReadonlyMap<FlowFamily, MapSpec>) {
    this.#object = object;
    this.#specs = specs;
  }

  *existing(): Generator<FlowTableId> {
    for (const family of [4, 6] as const) {
      const { count, keys } = this.#outer(family).entriesBatch();
      for (let i = 0; i < count; i++) yield { family, slot: u32Of(keys.subarray(i * 4, i * 4 + 4)) };
    }
  }

  /** The kernel waits for a grace period each time; in between others have their turn. */
  async create(tables: readonly FlowTableId[]): Promise<void> {
    for (const { family, slot } of tables) {
      const { type, keySize, valueSize, maxEntries, flags } = this.#specs.get(family) as MapSpec;
      using table = BpfMap.create({ type, keySize, valueSize, maxEntries, flags, name: `flows${family}_${slot}` });
      this.#outer(family).setInner(u32Bytes(slot), table);
      await setImmediate();
    }
  }

  async delete(tables: readonly FlowTableId[]): Promise<void> {
    for (const { family, slot } of tables) {
      this.#outer(family).delete(u32Bytes(slot));
      await setImmediate();
    }
  }

  #outer(family: FlowFamily): BpfMap {
    return this.#object.map(outerName(family));
  }
}

function outerName(family: FlowFamily): string {
  return `flows${family}`;
}
