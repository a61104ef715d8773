/** The real kernel: the loaded object, its pinned maps and the links in a directory of bpffs. */
import { randomBytes } from 'node:crypto';
import { isKernelSince, LISTS_MAPS_OF_MAPS } from '../../kernel-release.ts';
import { type BpfError, BpfMap, type BpfObject, type MappedMap, type MapSpec, RingBuffer } from '../../native.ts';
import type { CopiedMap } from './abi.ts';
import { type CountRow, readCounts, removeCounts } from './counts.ts';
import { type EarlierFlows, readEarlierFlows } from './earlier-flows.ts';
import { earlierSlots } from './earlier-slots.ts';
import { FlowPins } from './flow-pins.ts';
import type { FlowFamily, Kernel } from './kernel.ts';
import type { Lock } from './lock.ts';
import { NativeFlowTables, outerName } from './native-flow-tables.ts';
import { loadObject, type ObjectOptions, SIDES } from './object.ts';
import { flowsDirectory, linksDirectory, PinnedMaps } from './pins.ts';
import type { CopyIndex } from './table.ts';
import { u32Bytes } from './tables.ts';
import { TcAttachments } from './tc-attachments.ts';

export interface NativeKernelOptions extends ObjectOptions {
  /** In a bpffs, of this node alone: /sys/fs/bpf/selvedge/NODE. */
  readonly directory: string;
  readonly attach?: 'auto' | 'tcx' | 'clsact';
  /** Whether the kernel lists a map of maps at once; default: as its release says. */
  readonly listsTables?: boolean;
}

export interface NativeKernel extends Kernel {
  readonly object: BpfObject;
  /** Why the programs do not ask conntrack, though nobody said that they should not. */
  readonly noConntrack?: BpfError;
  /** What becomes of connections in tables of another layout's maps; absent: there are no such maps. */
  readonly earlierFlows?: 'taken' | 'left';
  /** Delivers the records of the ring buffer, those of before too, until the returned function is called. One reader at a time. */
  readEvents(onRecord: (record: Uint8Array) => void): () => void;
  /** Key of every row of the counters, and values that add up to it. */
  counters(): CountRow[];
  /** What did not fit since the maps were made: 8 bytes for each possible CPU, by enum loss. */
  losses(): [key: Uint8Array, values: Uint8Array][];
}

/** Takes over what is pinned in the locked directory, or begins anew. @throws {AbiMismatchError} @throws {BpfError} */
export function openNativeKernel(options: NativeKernelOptions, lock: Lock): NativeKernel {
  const prepared = { pins: undefined as PinnedMaps | undefined };
  const tableSpecs = new Map<FlowFamily, MapSpec>();
  const { object, abi, noConntrack } = loadObject(options, (opened) => {
    prepared.pins = new PinnedMaps(options.directory, opened.object);
    prepared.pins.reuse(opened.object);
    // Once loaded, libbpf has forgotten the prototypes of inner maps.
    for (const family of [4, 6] as const) {
      const table = opened.object.maps.get(outerName(family))?.inner;
      if (table !== undefined) tableSpecs.set(family, table);
    }
  });
  const pins = prepared.pins as PinnedMaps;
  const { alike, unlike } = pins.withFlows();
  const { seed, earlier } = seedFlows(object.map('flow_seed'), alike);
  pins.pin(object);
  const left = unlike.length > 0 || earlier.unlike;
  const upgrades = earlier.seed !== undefined;
  const memory = object.map('generation').mmap();
  riseAbove(memory, earlier.taken);
  const { listsTables: lists = isKernelSince(LISTS_MAPS_OF_MAPS) } = options;
  const flows = new NativeFlowTables({
    object,
    abi,
    specs: tableSpecs,
    generation: () => memory.load64(0),
    lists,
    pins: new FlowPins({ directory: flowsDirectory(options.directory), form: pins.form, seed }),
    upgrades,
  });
  const attachments = new TcAttachments({
    directory: linksDirectory(options.directory),
    mode: options.attach ?? 'auto',
    program: (name) => object.program(name),
  });
  const counts = { counters: object.map('counters'), tallies: object.map('tallies') };
  let ring: RingBuffer | undefined;
  let closed = false;
  return {
    abi,
    object,
    ...(noConntrack !== undefined && { noConntrack }),
    ...((left || upgrades) && { earlierFlows: left ? 'left' : 'taken' }),
    attachments,
    generation: {
      load: () => memory.load64(0),
      store: (value) => memory.store64(0, value),
      taken: earlier.taken,
    },
    flows,
    map: (name, copy) => object.map(sideOf(name, copy)),
    capacity: capacities(object),
    gracePeriod: () => BpfMap.rcuGracePeriod(),
    readEvents: (onRecord) => {
      if (closed) return () => {};
      const reader = new RingBuffer(object.map('events'), onRecord).unref();
      ring = reader;
      return () => reader.close();
    },
    counters: () => readCounts(counts, abi),
    losses: () => object.map('losses').entries(),
    forgetCounts: (gone) => removeCounts(counts, abi, gone),
    earlierSlots: () => earlierSlots(pins.others(), lists),
    removeOtherLayouts: () => {
      flows.forgetOthers();
      pins.removeOthers();
    },
    close: () => {
      closed = true;
      attachments.close();
      flows.close();
      ring?.close();
      memory.close();
      object.close();
      lock.release();
    },
  };
}

/**
 * Once for the life of the tables: their entries are found by it.
 * @param directories of maps whose tables may come along
 */
function seedFlows(map: BpfMap, directories: readonly string[]): { seed: Uint8Array; earlier: EarlierFlows } {
  const first = u32Bytes(0);
  const own = map.get(first);
  if (own?.some((byte) => byte !== 0)) return { seed: own, earlier: readEarlierFlows(directories, own) };
  const earlier = readEarlierFlows(directories);
  const seed = earlier.seed ?? randomBytes(map.info.valueSize);
  map.set(first, seed);
  return { seed, earlier };
}

/**
 * The state in force gets a number above those that others have given meanwhile: once their maps are gone nobody could
 * tell which ones not to give again. Its low bit, and so the copy, stays.
 */
function riseAbove(memory: MappedMap, taken: bigint): void {
  const inForce = memory.load64(0);
  if (inForce !== 0n && inForce <= taken) memory.store64(0, taken + 1n + ((taken + 1n - inForce) & 1n));
}

/** They stay as they were loaded, and are asked for with every state. */
function capacities(object: BpfObject): (name: CopiedMap) => number {
  const known = new Map<CopiedMap, number>();
  return (name) => {
    let capacity = known.get(name);
    if (capacity === undefined) {
      capacity = object.map(sideOf(name, 0)).info.maxEntries;
      known.set(name, capacity);
    }
    return capacity;
  };
}

function sideOf(name: CopiedMap, copy: CopyIndex): string {
  return `${name}_${SIDES[copy]}`;
}
