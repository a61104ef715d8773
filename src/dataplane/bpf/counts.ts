/**
 * The rows of the counters, with what is still in the tallies before them. A row stays until somebody takes it away; a
 * tally until another row of its endpoint takes its place.
 */
import type { BpfMap } from '../../native.ts';
import type { Abi } from './abi.ts';

export interface CountMaps {
  readonly counters: BpfMap;
  readonly tallies: BpfMap;
}

/** Key, and so many values of struct counter to be added up. */
export type CountRow = [key: Uint8Array, values: Uint8Array];

/** What programs move from tallies to rows meanwhile would be missed: then all is read again, so many times. */
const ATTEMPTS = 3;

/** All that was counted. @throws {BpfError} */
export function readCounts({ counters, tallies }: CountMaps, abi: Abi): CountRow[] {
  let before = heldTallies(tallies, abi);
  for (let attempt = 1; ; attempt++) {
    const rows = rowsOf(counters);
    const after = heldTallies(tallies, abi);
    if (attempt === ATTEMPTS || before.every((tally, index) => isFollowedBy(tally, after[index]))) {
      return merged(rows, after);
    }
    before = after;
  }
}

/** Of what a row counts: which interface is gone, and which rule, by its number. */
export interface Gone {
  isGone(ifindex: number): boolean;
  isGoneRule(rule: number): boolean;
}

/** Removes the rows of interfaces and of rules that are gone. @throws {BpfError} */
export function removeCounts({ counters, tallies }: CountMaps, abi: Abi, { isGone, isGoneRule }: Gone): void {
  const { counter_key: row, tally } = abi.codecs;
  // First: what is moved from here to a row after this would stay.
  for (const [key, values] of tallies.entries()) {
    let changed = false;
    for (const bytes of chunks(values, tally.size)) {
      const { packets, ifindex } = tally.decode(bytes);
      if (packets === 0n || !isGone(Number(ifindex))) continue;
      bytes.fill(0);
      changed = true;
    }
    // Counts of the slot's next endpoint, on another CPU and in this very moment, may be lost.
    if (changed) tallies.set(key, values);
  }
  const gone = counters.keys().filter((key) => {
    const { ifindex, rule, reason } = row.decode(key);
    // With other reasons the number stands for something else, or nothing.
    return isGone(Number(ifindex)) || (reason === abi.numbers.REASON_ALLOW_RULE && isGoneRule(Number(rule)));
  });
  if (gone.length > 0) counters.deleteBatch(Buffer.concat(gone), gone.length);
}

interface Tally {
  readonly key: Uint8Array;
  /** Of struct counter. */
  readonly value: Uint8Array;
  readonly packets: bigint;
}

/** Of every CPU and place, in the same order each time; undefined where nothing is held. */
function heldTallies(tallies: BpfMap, { codecs }: Abi): (Tally | undefined)[] {
  const { values } = tallies.entriesBatch();
  return [...chunks(values, codecs.tally.size)].map((bytes) => {
    const { packets, bytes: length, ifindex, rule, direction, reason } = codecs.tally.decode(bytes);
    if (packets === 0n) return undefined;
    const key = codecs.counter_key.encode({ ifindex, rule, direction, reason });
    return { key, value: codecs.counter.encode({ packets, bytes: length }), packets: packets as bigint };
  });
}

/** In a few calls of the kernel, not one for each row: there may be ten thousand, and a scraper waits. */
function rowsOf(counters: BpfMap): CountRow[] {
  const { count, keys, values } = counters.entriesBatch();
  const [keySize, valueSize] = [keys.length / Math.max(1, count), values.length / Math.max(1, count)];
  return Array.from({ length: count }, (_, at) => {
    const key = keys.subarray(at * keySize, (at + 1) * keySize);
    return [key, values.subarray(at * valueSize, (at + 1) * valueSize)];
  });
}

/** Whether nothing was moved from a tally between two readings. */
function isFollowedBy(before: Tally | undefined, after: Tally | undefined): boolean {
  if (before === undefined) return true;
  return after !== undefined && Buffer.compare(before.key, after.key) === 0 && before.packets <= after.packets;
}

function merged(rows: readonly CountRow[], tallies: readonly (Tally | undefined)[]): CountRow[] {
  const byKey = new Map(rows.map(([key, values]) => [textOf(key), { key, values: [values] }]));
  for (const tally of tallies) {
    if (tally === undefined) continue;
    const row = byKey.get(textOf(tally.key));
    if (row !== undefined) row.values.push(tally.value);
    else byKey.set(textOf(tally.key), { key: tally.key, values: [tally.value] });
  }
  return [...byKey.values()].map(({ key, values }) => [key, Buffer.concat(values)]);
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('hex');
}

/** Each CPU's own; values of per-CPU maps are in multiples of 8 bytes, and so is the record. */
function* chunks(values: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at + size <= values.length; at += size) yield values.subarray(at, at + size);
}
