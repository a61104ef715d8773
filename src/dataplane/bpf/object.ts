/** The compiled object file -> an object with our sizes and constants, checked against this program, ready to be loaded. */
import { BpfError, BpfObject, features, type Layout } from '../../native.ts';
import { type Abi, COPIED_MAPS, type CopiedMap, checkAbi } from './abi.ts';
import { longestUdpSeconds } from './conntrack-times.ts';
import { u32Bytes } from './tables.ts';

/** Elements; those of a map that exists twice are of each copy. */
export type MapSizes = Readonly<Partial<Record<CopiedMap | 'fragments' | 'counters', number>>> & {
  /** Connections of a pod, for each family, that its table has two and a half entries for; 4,096 unless given. */
  readonly flowsPerEndpoint?: number;
  /** Bytes of the ring buffer, a power of two and of whole pages. */
  readonly events?: number;
};

/** Constants of the programs; what is absent keeps the default of the C source, or one that this node's settings ask for. */
export interface Constants {
  /** Lowest of our 15 bits in skb->mark. */
  readonly markShift?: number;
  /** Which verdicts become events: all drops when absent. */
  readonly events?: { readonly drops: boolean; readonly admitted: boolean };
  /** Events of a pod, in one direction and of one verdict, that each CPU tells in a tenth of a second; 0: all of them. */
  readonly eventLimit?: number;
  /** Seconds without a packet after which a flow is forgotten, by the names of bpf/settings.h: `idle_udp` ... */
  readonly idleSeconds?: Readonly<Record<string, number>>;
  /** Whether conntrack is asked about packets without an entry; absent: where the kernel has the call. */
  readonly conntrack?: boolean;
}

export interface ObjectOptions {
  /** Of the compiled policy.bpf.o. */
  readonly path: string;
  readonly mapSizes?: MapSizes;
  readonly constants?: Constants;
}

export interface OpenedObject {
  readonly object: BpfObject;
  readonly abi: Abi;
  /** Why the programs do not ask conntrack, though nobody said that they should not: what the kernel answered to those that do. */
  readonly noConntrack?: BpfError;
}

/**
 * Opens, prepares and loads the object.
 * @param prepare called between opening and loading: the place to reuse maps
 * @throws {AbiMismatchError} @throws {BpfError} with the verifier's words in `log`
 */
export function loadObject(options: ObjectOptions, prepare: (opened: OpenedObject) => void): OpenedObject {
  const wanted = options.constants?.conntrack;
  if (wanted !== undefined) return load(options, wanted, prepare);
  try {
    return load(options, true, prepare);
  } catch (error) {
    // Older kernels refuse the call itself; nothing else differs, so if that was not it the second try mostly says so.
    // Where it does not (out of memory for a moment, say) whoever opens it is told, for connections may depend on it.
    if (!(error instanceof BpfError)) throw error;
    return { ...load(options, false, prepare), noConntrack: error };
  }
}

/** Opens and sets sizes; loads nothing and needs no privilege. @throws {AbiMismatchError} */
export function openObject({ path, mapSizes = {}, constants = {} }: ObjectOptions, conntrack = false): OpenedObject {
  const object = BpfObject.open(path);
  try {
    const abi = checkAbi(object);
    setSizes(object, mapSizes);
    setConstants(object, abi, constants, conntrack);
    return { object, abi };
  } catch (error) {
    object.close();
    throw error;
  }
}

function load(options: ObjectOptions, conntrack: boolean, prepare: (opened: OpenedObject) => void): OpenedObject {
  const opened = openObject(options, conntrack);
  try {
    prepare(opened);
    opened.object.load();
    return opened;
  } catch (error) {
    opened.object.close();
    throw error;
  }
}

/**
 * For clusters of 100,000 dual-stack pods and twice that. Elements are allocated as they come (about 72 bytes for IPv4 and 80
 * for IPv6, in each copy), so an empty map costs its buckets: 4 MiB for each of the four.
 */
const DEFAULT_SIZES: MapSizes = { ipcache4: 262_144, ipcache6: 262_144 };

function setSizes(object: BpfObject, wanted: MapSizes): void {
  const sizes = { ...DEFAULT_SIZES, ...wanted };
  for (const name of COPIED_MAPS) {
    const size = sizes[name];
    if (size !== undefined) for (const side of SIDES) object.setMaxEntries(`${name}_${side}`, size);
  }
  for (const name of ['fragments', 'counters', 'events'] as const) {
    const size = sizes[name];
    if (size !== undefined) object.setMaxEntries(name, size);
  }
  if (sizes.flowsPerEndpoint === undefined) return;
  const bits = Math.max(1, Math.ceil(Math.log2(sizes.flowsPerEndpoint / 2)));
  for (const name of ['flows4', 'flows6']) object.setInnerMaxEntries(name, 2 ** bits);
  setNumber(object, 'flow_set_bits', bits);
}

/** Suffixes of the maps that exist twice, by the low bit of the generation. */
export const SIDES = ['left', 'right'] as const;

const NANOSECONDS = 1e9;
/** Ticks that the defaults of bpf/settings.h count in a second. */
const DEFAULT_TICKS = 1000;
/** The programs compare times of 32 bits, some a little larger. */
const MOST_TICKS = 2 ** 31;

function setConstants(object: BpfObject, abi: Abi, constants: Constants, conntrack: boolean): void {
  const { layout } = object;
  const set = (name: string, value: number): void => setNumber(object, name, value);
  if (constants.markShift !== undefined) set('mark_shift', constants.markShift);
  if (constants.events !== undefined) {
    const { drops, admitted } = constants.events;
    set('event_mask', (drops ? abi.numbers.EVENTS_DROPS : 0) | (admitted ? abi.numbers.EVENTS_ADMITTED : 0));
  }
  if (constants.eventLimit !== undefined) set('event_limit', constants.eventLimit);
  if (layout.variables.has('conntrack')) set('conntrack', conntrack ? 1 : 0);
  const ticks = NANOSECONDS / features.tickNanoseconds();
  set('event_window', Math.max(1, Math.round(ticks / 10)));
  for (const name of idleNames(layout)) {
    const seconds = constants.idleSeconds?.[name] ?? defaultSeconds(object, name);
    set(name, Math.min(MOST_TICKS, Math.max(1, Math.round(seconds * ticks))));
  }
}

/** As the C source has it; so long as conntrack is asked, at least what conntrack keeps. */
function defaultSeconds(object: BpfObject, name: string): number {
  const seconds = u32(object.rodata(name).bytes) / DEFAULT_TICKS;
  return name === 'idle_udp_lost' ? Math.max(seconds, longestUdpSeconds()) : seconds;
}

function setNumber(object: BpfObject, name: string, value: number): void {
  object.setRodata(name, u32Bytes(value));
}

function idleNames({ variables }: Layout): string[] {
  return [...variables.keys()].filter((name) => name.startsWith('idle_'));
}

function u32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, new Uint8Array(Uint16Array.of(1).buffer)[0] === 1);
}
