/**
 * Directories of other layouts' maps -> what our maps must go on from for the endpoints' tables of flows to come along (see
 * `FlowPins`): the very same tables stand in both layouts' maps, and while an upgrade swaps programs those of both write to them.
 *
 * Why nothing goes wrong meanwhile:
 * - Both find and write an entry alike: the records, the hash's random numbers and FLOW_FORM are the same (`flowForm`), and
 *   what a set's writers agree by, its lock, lies in the set.
 * - A verdict in an entry counts only under the state that gave it, and no two states have the same number, whosever they
 *   are: ours begin above all that were given before (`taken`). So each version judges anew what the other one judged.
 * - A slot in an entry means the same endpoint to both: a pod keeps its slot, and only then its table (see earlier-slots).
 * - A table is its pod's: its pin tells by which interface and addresses.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BpfMap, type BpfObject } from '../../native.ts';
import { u32Bytes } from './tables.ts';

/** What both versions must have alike, for their programs to use the same tables, and for us to read what is read of theirs. */
const STRUCTS = ['flow', 'flow4', 'flow6', 'flow4_set', 'flow6_set', 'flow_seed', 'slot'];
const ENUMS = ['flow_form', 'flow_state', 'judged', 'mark', 'verdict'];
const MAPS = ['generation', 'flow_seed', 'flows4', 'flows6'];

/** What is read of another layout. */
export const FLOW_MAPS = ['generation', 'flow_seed'] as const;

/** Of an object that is not loaded yet: 8 digits that are the same where tables of flows mean the same. */
export function flowForm({ layout, maps }: Pick<BpfObject, 'layout' | 'maps'>): string {
  const parts = [
    STRUCTS.map((name) => layout.structs.get(name)),
    layout.structs.get('endpoint')?.members.find(({ name }) => name === 'ifindex'),
    ENUMS.map((name) => [...(layout.enums.get(name) ?? [])].map(([key, value]) => [key, `${value}`])),
    MAPS.map((name) => maps.get(name)),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8);
}

export interface EarlierFlows {
  /** The highest number of a state by which verdicts in the tables may have been given. */
  readonly taken: bigint;
  /** By which their entries are placed; absent: there are none. */
  readonly seed?: Uint8Array;
  /** Entries somewhere are placed by other numbers than in our maps: those tables stay behind. */
  readonly unlike: boolean;
}

/** States are not that many: somebody else wrote it. */
const MOST = 2n ** 62n;

/**
 * @param directories of pinned maps that have all of FLOW_MAPS, and our form of tables
 * @param own the hash's numbers in our maps; absent: they are to be taken from there
 * @throws {BpfError}
 */
export function readEarlierFlows(directories: readonly string[], own?: Uint8Array): EarlierFlows {
  // Before its first state nobody has tables.
  const found = directories.map(read).filter(({ generation }) => generation > 0n && generation < MOST);
  found.sort((a, b) => (a.generation < b.generation ? 1 : -1));
  const seed = own ?? found[0]?.seed;
  const alike = found.filter((one) => seed !== undefined && one.seed.equals(seed));
  return {
    taken: found[0]?.generation ?? 0n,
    ...(alike.length > 0 && seed !== undefined && { seed }),
    unlike: alike.length < found.length,
  };
}

function read(directory: string): { readonly generation: bigint; readonly seed: Buffer } {
  const first = (name: (typeof FLOW_MAPS)[number]): Buffer => {
    using map = BpfMap.openPinned(join(directory, name));
    return map.get(u32Bytes(0)) as Buffer;
  };
  const [generation = 0n] = new BigUint64Array(Uint8Array.from(first('generation')).buffer);
  return { generation, seed: first('flow_seed') };
}
