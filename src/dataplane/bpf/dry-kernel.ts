/**
 * A kernel that is only looked at: the data plane on it reads what an agent has pinned, and what it would write is
 * recorded. Both copies are shown as the one in force, so that the writes to one of them are the whole difference.
 */
import { type BpfMap, features, netlink } from '../../native.ts';
import type { LinkRole } from '../contract.ts';
import type { CopiedMap } from './abi.ts';
import { earlierSlots } from './earlier-slots.ts';
import type { Attachments, Kernel, KernelMap, LinkOf } from './kernel.ts';
import type { NativeKernelOptions } from './kernel-native.ts';
import { tablesOf } from './native-flow-tables.ts';
import { openObject, SIDES } from './object.ts';
import { linksDirectory, PinnedMaps } from './pins.ts';
import { u32Bytes } from './tables.ts';
import { clsactFilters, pinnedLinks } from './tc-places.ts';

export interface MapWrites {
  readonly sets: (readonly [key: Uint8Array, value: Uint8Array])[];
  readonly deletions: Uint8Array[];
}

export interface Recorded {
  readonly maps: ReadonlyMap<CopiedMap, MapWrites>;
  readonly attached: readonly LinkOf[];
  readonly swapped: readonly LinkOf[];
  readonly detached: readonly LinkOf[];
}

export interface DryKernel extends Kernel {
  readonly recorded: Recorded;
}

const MISSING = { count: 0, keys: new Uint8Array(), values: new Uint8Array() };

/** Loads, pins, attaches and locks nothing. @throws {AbiMismatchError} @throws {BpfError} */
export function openDryKernel(options: NativeKernelOptions): DryKernel {
  const { object, abi } = openObject(options);
  const pins = new PinnedMaps(options.directory, object);
  const generation = readGeneration(pins);
  const maps = new Map<CopiedMap, MapWrites>();
  const attachments = new DryAttachments(options);
  // Once the state is in force the other copy gets the same: that is no news.
  let inForce = false;
  const writesTo = (name: CopiedMap): MapWrites => {
    const writes = maps.get(name) ?? { sets: [], deletions: [] };
    maps.set(name, writes);
    return writes;
  };
  return {
    abi,
    attachments,
    recorded: { maps, ...attachments.recorded },
    generation: {
      load: () => generation,
      store: () => {
        inForce = true;
      },
      taken: 0n,
    },
    flows: {
      // Those of the endpoints alone: no map of maps is listed, which takes long on some kernels.
      *existing() {
        using endpoints = inForceOf(pins, generation, 'endpoints');
        if (endpoints !== undefined) yield* tablesOf(endpoints, abi);
      },
      create: async () => {},
      provide: async () => {},
      delete: async () => {},
    },
    map: (name): KernelMap => ({
      setBatch: (keys, values, count) => {
        if (!inForce) writesTo(name).sets.push(...pairs(keys, values, count));
      },
      deleteBatch: (keys, count) => {
        if (!inForce) writesTo(name).deletions.push(...parts(keys, count));
        return count;
      },
      entriesBatch: () => {
        using map = inForceOf(pins, generation, name);
        return map?.entriesBatch() ?? MISSING;
      },
    }),
    capacity: (name) => capacityOf(pins, object.maps, `${name}_${SIDES[0]}`),
    gracePeriod: async () => {},
    forgetCounts: () => {},
    earlierSlots: () => earlierSlots(pins.others(), false),
    removeOtherLayouts: () => {},
    close: () => object.close(),
  };
}

class DryAttachments implements Attachments {
  readonly recorded: Record<'attached' | 'swapped' | 'detached', LinkOf[]> = {
    attached: [],
    swapped: [],
    detached: [],
  };
  readonly #there = new Map<string, LinkOf>();
  readonly #living = new Set(netlink.links().map(({ ifindex }) => ifindex));

  constructor({ directory, attach = 'auto' }: NativeKernelOptions) {
    const tcx = attach === 'auto' ? features.hasTcx() : attach === 'tcx';
    for (const { program, ifindex } of tcx ? pinnedLinks(linksDirectory(directory)) : clsactFilters()) {
      const link: LinkOf = { ifindex, role: program.startsWith('to_node') ? 'exit' : 'pod' };
      this.#there.set(nameOf(link), link);
    }
  }

  readonly version = 0;

  ensure(ifindex: number, role: LinkRole): undefined {
    if (!this.alive(ifindex, role) && this.#living.has(ifindex)) this.recorded.attached.push({ ifindex, role });
  }

  async settled(): Promise<void> {}

  renew(links: Iterable<LinkOf>): [] {
    for (const link of links) if (this.alive(link.ifindex, link.role)) this.recorded.swapped.push(link);
    return [];
  }

  older(): boolean {
    return this.#there.size > 0;
  }

  forget(): void {}

  *attached(): Generator<LinkOf> {
    yield* this.#there.values();
  }

  alive(ifindex: number, role: LinkRole): boolean {
    return this.#living.has(ifindex) && this.#there.has(nameOf({ ifindex, role }));
  }

  missing(): readonly string[] {
    return [];
  }

  remove(ifindex: number, role: LinkRole): void {
    this.recorded.detached.push({ ifindex, role });
    this.#there.delete(nameOf({ ifindex, role }));
  }
}

function nameOf({ ifindex, role }: LinkOf): string {
  return `${role} ${ifindex}`;
}

function readGeneration(pins: PinnedMaps): bigint {
  using map = pins.open('generation');
  const bytes = map?.get(u32Bytes(0));
  return bytes === undefined ? 0n : (new BigUint64Array(Uint8Array.from(bytes).buffer)[0] ?? 0n);
}

/** Absent where nobody has left any. */
function inForceOf(pins: PinnedMaps, generation: bigint, name: CopiedMap): BpfMap | undefined {
  return pins.open(`${name}_${SIDES[Number(generation & 1n) as 0 | 1]}`);
}

function capacityOf(pins: PinnedMaps, specs: ReadonlyMap<string, { maxEntries: number }>, name: string): number {
  using map: BpfMap | undefined = pins.open(name);
  return map?.info.maxEntries ?? specs.get(name)?.maxEntries ?? 0;
}

function pairs(keys: Uint8Array, values: Uint8Array, count: number): [Uint8Array, Uint8Array][] {
  const all = parts(values, count);
  return parts(keys, count).map((key, i) => [key, all[i] as Uint8Array]);
}

function parts(bytes: Uint8Array, count: number): Uint8Array[] {
  const size = bytes.length / Math.max(1, count);
  return Array.from({ length: count }, (_, i) => bytes.slice(i * size, (i + 1) * size));
}
