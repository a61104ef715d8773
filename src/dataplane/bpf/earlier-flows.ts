/**
 * Directories of other layouts' maps -> the tables of flows in them that our programs understand. The very same tables are
 * put into our maps, and for as long as an upgrade swaps programs those of both versions write to them.
 *
 * Why nothing goes wrong meanwhile:
 * - Both find and write an entry alike: the records, the hash's random numbers and FLOW_FORM are the same (`flowForm`), and
 *   what a set's writers agree by, its lock, lies in the set.
 * - A verdict in an entry counts only under the state that gave it, and no two states have the same number, whosever they
 *   are: ours begin above all that were given before (`generation`). So each version judges anew what the other one judged.
 * - A slot in an entry means the same endpoint to both: a pod keeps its slot, and only then its table (see earlier-slots).
 * - A table is its pod's: the name that the kernel keeps with it tells by which interface and addresses.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BpfMap, type BpfObject, type MapSpec } from '../../native.ts';
import type { FlowFamily, NewFlowTable } from './kernel.ts';
import { u32Bytes } from './tables.ts';

/** What both versions must have alike, for their programs to use the same tables, and for us to find them. */
const STRUCTS = ['flow', 'flow4', 'flow6', 'flow4_set', 'flow6_set', 'flow_seed', 'slot'];
const ENUMS = ['flow_form', 'flow_state', 'judged', 'mark', 'verdict'];
/** What is read of another layout. */
export const FLOW_MAPS = ['generation', 'flow_seed', 'flows4', 'flows6'] as const;

/** Of an object that is not loaded yet: 8 digits that are the same where tables of flows mean the same. */
export function flowForm({ layout, maps }: Pick<BpfObject, 'layout' | 'maps'>): string {
  const parts = [
    STRUCTS.map((name) => layout.structs.get(name)),
    layout.structs.get('endpoint')?.members.find(({ name }) => name === 'ifindex'),
    ENUMS.map((name) => [...(layout.enums.get(name) ?? [])].map(([key, value]) => [key, `${value}`])),
    FLOW_MAPS.map((name) => maps.get(name)),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8);
}

/** The kernel keeps 15 characters. */
export function tableName({ family, owner }: Pick<NewFlowTable, 'family' | 'owner'>): string {
  return `flows${family}_${createHash('sha256').update(owner).digest('hex').slice(0, 8)}`;
}

interface Source {
  readonly generation: bigint;
  readonly seed: Buffer;
  readonly outer: Readonly<Record<FlowFamily, BpfMap>>;
}

export interface EarlierFlowsParts {
  /** Of whole sets of pinned maps, whose form of tables is ours. */
  readonly directories: readonly string[];
  /** The hash's numbers in our maps; absent: they are to be taken from there. */
  readonly seed?: Uint8Array;
}

export class EarlierFlows {
  /** The latest first. */
  readonly #sources: Source[] = [];
  /** The highest number of a state by which verdicts in the tables may have been given. */
  readonly generation: bigint;
  /** By which their entries are placed; undefined: there are none. */
  readonly seed: Uint8Array | undefined;
  /** Entries somewhere are placed by other numbers than in our maps: those tables stay behind. */
  readonly unlike: boolean;

  /** @throws {BpfError} */
  constructor({ directories, seed }: EarlierFlowsParts) {
    const found = directories.map(open).sort((a, b) => (a.generation < b.generation ? 1 : -1));
    this.generation = found[0]?.generation ?? 0n;
    const inUse = found.filter(isInUse);
    this.seed = seed ?? inUse[0]?.seed;
    this.#sources.push(...inUse.filter((source) => this.seed !== undefined && source.seed.equals(this.seed)));
    this.unlike = this.#sources.length < inUse.length;
    for (const source of found) if (!this.#sources.includes(source)) close(source);
  }

  /** Whether there may be tables. */
  get any(): boolean {
    return this.#sources.length > 0;
  }

  /**
   * The table that the same owner has in the same slot there, for the caller to close. On kernels that do not list maps of
   * maps at once it takes a grace period. @throws {BpfError}
   */
  tableOf(table: NewFlowTable, spec: MapSpec): BpfMap | undefined {
    for (const { outer } of this.#sources) {
      const found = outer[table.family].getInner(u32Bytes(table.slot));
      if (found === undefined) continue;
      if (found.info.name === tableName(table) && isLike(found, spec)) return found;
      found.close();
    }
    return undefined;
  }

  /** Nothing comes from there any more. Idempotent. */
  close(): void {
    for (const source of this.#sources.splice(0)) close(source);
  }
}

function open(directory: string): Source {
  const read = (name: string): Buffer => {
    using map = BpfMap.openPinned(join(directory, name));
    return map.get(u32Bytes(0)) as Buffer;
  };
  const outer = (family: FlowFamily) => BpfMap.openPinned(join(directory, `flows${family}`));
  const [generation = 0n] = new BigUint64Array(Uint8Array.from(read('generation')).buffer);
  return { generation, seed: read('flow_seed'), outer: { 4: outer(4), 6: outer(6) } };
}

/** A state was in force there: before the first one there are no tables. */
function isInUse({ generation }: Source): boolean {
  return generation > 0n;
}

/** The kernel would refuse another one, and with it all that are put in together. */
function isLike({ info }: BpfMap, { type, keySize, valueSize, maxEntries, flags }: MapSpec): boolean {
  const same = info.type === type && info.keySize === keySize && info.valueSize === valueSize;
  return same && info.maxEntries === maxEntries && info.flags === flags;
}

function close({ outer }: Source): void {
  for (const map of Object.values(outer)) map.close();
}
