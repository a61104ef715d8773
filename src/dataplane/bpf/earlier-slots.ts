/**
 * Maps of other layouts -> the slots that their programs mark packets with. While such programs run, a number that means
 * another endpoint in our maps would have its packets judged by the wrong one; the same number for the same interface is
 * understood by both. Nothing is known of another layout for sure but that numbers have 32 bits: what is read is checked.
 *
 * What remains: an interface whose slot does not read so gets a number that is new to both. Until the last program is
 * swapped, some milliseconds, packets that cross from the one kind to the other bear a mark without a record, and are
 * judged by the receiver's policies alone.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BpfMap } from '../../native.ts';
import { SIDES } from './object.ts';
import { u32Of } from './tables.ts';

export interface EarlierSlots {
  readonly used: ReadonlySet<number>;
  /** By ifindex; no slot is there twice. */
  readonly ofInterface: ReadonlyMap<number, number>;
}

export const NO_EARLIER_SLOTS: EarlierSlots = { used: new Set(), ofInterface: new Map() };

/**
 * @param directories of pinned maps
 * @param lists whether the kernel lists a map of maps at once; else tables without an endpoint in either copy are passed over
 * @throws {BpfError}
 */
export function earlierSlots(directories: readonly string[], lists = true): EarlierSlots {
  const used = new Set<number>();
  const ofInterface = new Map<number, number>();
  const given = new Set<number>();
  for (const directory of directories) {
    for (const name of lists ? ['flows4', 'flows6'] : [])
      for (const slot of firstWords(join(directory, name)).keys()) used.add(slot);
    const generation = firstWords(join(directory, 'generation')).get(0) ?? 0;
    for (const side of SIDES) {
      const interfaces = firstWords(join(directory, `endpoints_${side}`));
      for (const slot of interfaces.keys()) used.add(slot);
      // The other copy may be half written.
      if (side !== SIDES[generation & 1]) continue;
      for (const name of ['slots', 'slots_beyond']) {
        for (const [ifindex, slot] of firstWords(join(directory, `${name}_${side}`))) {
          if (interfaces.get(slot) !== ifindex || given.has(slot)) continue;
          given.add(slot);
          ofInterface.set(ifindex, slot);
        }
      }
    }
  }
  return { used, ofInterface };
}

const WORD = 4;

/** Keys with the first word of their values, but values that are all zero: an array has those where nothing was written. */
function firstWords(path: string): Map<number, number> {
  const words = new Map<number, number>();
  if (!existsSync(path)) return words;
  using map = BpfMap.openPinned(path);
  if (map.info.keySize !== WORD || map.info.valueSize < WORD) return words;
  const { count, keys, values } = map.entriesBatch();
  const size = values.length / Math.max(1, count);
  for (let i = 0; i < count; i++) {
    const value = values.subarray(i * size, (i + 1) * size);
    if (value.some((byte) => byte !== 0)) words.set(u32Of(keys.subarray(i * WORD, (i + 1) * WORD)), u32Of(value));
  }
  return words;
}
