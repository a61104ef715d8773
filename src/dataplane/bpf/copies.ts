/**
 * Differences -> writes, so that no program run sees half of them: only the copy that is not in force is written, then
 * one store of the generation puts it in force. The retired copy has readers until a grace period is over; then it
 * receives the same changes, so that the next lone change is in force at once.
 */
import { CapacityError } from '../contract.ts';
import type { Kernel, KernelMap } from './kernel.ts';
import { type Actual, type CopyIndex, type Table, UNKNOWN } from './table.ts';
import type { Tables } from './tables.ts';

type AnyTable = Table<unknown, unknown>;

export interface CopiesOptions {
  readonly kernel: Kernel;
  /** The copies have become equal, and no run knows what is in neither. */
  onEqual(): Promise<void>;
}

export class Copies {
  readonly #kernel: Kernel;
  readonly #onEqual: () => Promise<void>;
  #tables: Tables | undefined;
  #generation: bigint;
  /** A grace period has passed since the idle copy was in force: nobody reads it. At start this is not known. */
  #quiet = false;
  #catchingUp: Promise<void> = Promise.resolve();
  #closed = false;

  constructor({ kernel, onEqual }: CopiesOptions) {
    this.#kernel = kernel;
    this.#onEqual = onEqual;
    this.#generation = kernel.generation.load();
  }

  get generation(): bigint {
    return this.#generation;
  }

  /** Number of the next state: its low bit names the other copy, and no table of flows has a verdict of it yet. */
  get next(): bigint {
    const next = this.#generation + 1n;
    const { taken } = this.#kernel.generation;
    return taken < next ? next : next + ((taken - next) / 2n + 1n) * 2n;
  }

  get inForce(): CopyIndex {
    return Number(this.#generation & 1n) as CopyIndex;
  }

  /** Reads both copies and from now on keeps them like these tables. The copy in force: see `contentOf`. */
  follow(tables: Tables): void {
    this.#tables = undefined;
    for (const copy of [0, 1] as const) {
      for (const table of Object.values(tables) as AnyTable[]) {
        table.learnAll(copy, readTable(this.#kernel.map(table.codec.name, copy), table));
      }
    }
    this.#tables = tables;
  }

  /** Resolves when the idle copy may be written. */
  async ready(): Promise<void> {
    await this.#catchingUp;
    if (this.#quiet) return;
    await this.#kernel.gracePeriod();
    this.#quiet = true;
  }

  /**
   * Puts what is wanted in force; call it when `ready`. When it throws, nothing has changed for any packet and what is
   * not written stays pending.
   * @returns writes, the one of the generation included; without that one when it was in force already
   * @throws {CapacityError}
   */
  put(): number {
    const writes = this.#writeIdle();
    const tables = Object.values(this.#tables ?? {}) as AnyTable[];
    if (!tables.some((table) => isPending(table, this.inForce))) {
      this.#catchingUp = this.#settle();
      return writes;
    }
    const { next } = this;
    this.#kernel.generation.store(next);
    this.#generation = next;
    this.#quiet = false;
    this.#catchingUp = this.#catchUp();
    return writes + 1;
  }

  /** Resolves when the copies are equal, or the attempt to make them so is over. */
  async settled(): Promise<void> {
    await this.#catchingUp;
  }

  close(): void {
    this.#closed = true;
  }

  /** Never rejects: what fails here stays pending, and the next `ready` or `put` meets and reports it. */
  async #catchUp(): Promise<void> {
    try {
      await this.#kernel.gracePeriod();
      if (this.#closed) return;
      this.#quiet = true;
      this.#writeIdle();
    } catch {
      return; // Pending, as said above.
    }
    await this.#settle();
  }

  async #settle(): Promise<void> {
    try {
      await this.#onEqual();
    } catch {
      // What is left over is harmless, and collected the next time.
    }
  }

  #writeIdle(): number {
    const idle = (1 - this.inForce) as CopyIndex;
    let writes = 0;
    for (const table of Object.values(this.#tables ?? {}) as AnyTable[]) {
      writes += writeTable(this.#kernel, table, idle);
    }
    return writes;
  }
}

/** What a copy holds. */
export function readTable<K, V>(map: KernelMap, table: Table<K, V>): Map<K, V> {
  const { codec } = table;
  const { count, keys, values } = map.entriesBatch();
  const keySize = keys.length / Math.max(1, count);
  const valueSize = values.length / Math.max(1, count);
  const content = new Map<K, V>();
  for (let i = 0; i < count; i++) {
    if (codec.kind !== 'hash' && isZero(values, i * valueSize, valueSize)) continue;
    const value = codec.decodeValue(values.subarray(i * valueSize, (i + 1) * valueSize));
    content.set(codec.decodeKey(keys.subarray(i * keySize, (i + 1) * keySize)), value);
  }
  return content;
}

function isZero(bytes: Uint8Array, from: number, length: number): boolean {
  for (let i = from; i < from + length; i++) if (bytes[i] !== 0) return false;
  return true;
}

interface Pending {
  readonly sets: readonly unknown[];
  readonly deletions: readonly unknown[];
}

function pendingOf(table: AnyTable, copy: CopyIndex): Pending {
  const { codec, wanted } = table;
  const sets: unknown[] = [];
  const deletions: unknown[] = [];
  for (const key of table.differing(copy).keys()) {
    if (wanted.has(key) || codec.kind === 'array') sets.push(key);
    else if (codec.kind === 'hash') deletions.push(key);
  }
  return { sets, deletions };
}

/** Whether there is anything to write. */
function isPending(table: AnyTable, copy: CopyIndex): boolean {
  const { codec, wanted } = table;
  for (const key of table.differing(copy).keys()) if (codec.kind !== 'pool' || wanted.has(key)) return true;
  return false;
}

/** Deletions first: the map may be full. @returns how many elements were written */
function writeTable(kernel: Kernel, table: AnyTable, copy: CopyIndex): number {
  const { codec, wanted } = table;
  const { sets, deletions } = pendingOf(table, copy);
  const map = kernel.map(codec.name, copy);
  for (const keys of batches(deletions)) {
    const bytes = encodeKeys(table, keys);
    attempt(table, copy, keys, () => map.deleteBatch(bytes, keys.length));
  }
  for (const keys of batches(sets)) {
    const bytes = encodeKeys(table, keys);
    const values = encodeWanted(table, keys);
    attempt(table, copy, keys, () => {
      try {
        map.setBatch(bytes, values, keys.length);
      } catch (error) {
        throw isFull(error) ? new CapacityError(codec.name, wanted.size, kernel.capacity(codec.name)) : error;
      }
    });
  }
  return sets.length + deletions.length;
}

/** What fits was counted before, but the kernel has the last word. */
function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'E2BIG' || error.code === 'ENOSPC');
}

/** Elements that are encoded at a time: a large state is not held twice in bytes. */
const BATCH = 4096;

function* batches(keys: readonly unknown[]): Generator<readonly unknown[]> {
  for (let i = 0; i < keys.length; i += BATCH) yield keys.slice(i, i + BATCH);
}

/** Runs one batch. If it breaks, how far it came is not known, so every element is written again the next time. */
function attempt(table: AnyTable, copy: CopyIndex, keys: readonly unknown[], write: () => void): void {
  try {
    write();
  } catch (error) {
    for (const key of keys) table.learn(copy, key, UNKNOWN);
    throw error;
  }
  for (const key of keys) table.learn(copy, key, table.wanted.get(key) as Actual<unknown>);
}

/** One behind the other, in one piece of memory: a large change is thousands of them. */
export function encodeKeys<K, V>({ codec }: Table<K, V>, keys: readonly K[]): Uint8Array {
  const bytes = new Uint8Array(codec.keySize * keys.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const key of keys) {
    codec.writeKey(key, view, at);
    at += codec.keySize;
  }
  return bytes;
}

/** What is wanted under the keys; zeros where nothing is. */
export function encodeWanted<K, V>({ codec, wanted }: Table<K, V>, keys: readonly K[]): Uint8Array {
  const bytes = new Uint8Array(codec.valueSize * keys.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const key of keys) {
    const value = wanted.get(key);
    if (value !== undefined) codec.writeValue(value, view, at);
    at += codec.valueSize;
  }
  return bytes;
}
