/**
 * One map of the two copies: what is wanted in it and, for each copy, how that copy differs from this.
 * Pure bookkeeping; `copies.ts` writes the differences.
 */
import type { CopiedMap } from './abi.ts';

/** Index of a copy: its low bit of the generation. */
export type CopyIndex = 0 | 1;
/** The copy's element may be anything: a write of it failed. */
export const UNKNOWN = Symbol('unknown');
/** What a copy holds under a key; undefined: no element. */
export type Actual<V> = V | undefined | typeof UNKNOWN;

export interface TableCodec<K, V> {
  readonly name: CopiedMap;
  /**
   * `hash`: an element that is not wanted is deleted. `array`: it is zeroed, and zeroed elements count as absent.
   * `pool`: an array in which nobody looks at what is not wanted; it is left as it is.
   */
  readonly kind: 'hash' | 'array' | 'pool';
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  /** Puts the bytes at a place of which all bytes are zero. */
  writeKey(key: K, into: DataView, at: number): void;
  decodeKey(bytes: Uint8Array): K;
  writeValue(value: V, into: DataView, at: number): void;
  decodeValue(bytes: Uint8Array): V;
  same(a: V, b: V): boolean;
}

export class Table<K, V> {
  readonly codec: TableCodec<K, V>;
  readonly #wanted = new Map<K, V>();
  /** Keys under which the copy does not hold what is wanted, with what it holds. */
  readonly #differing: readonly [Map<K, Actual<V>>, Map<K, Actual<V>>] = [new Map(), new Map()];

  constructor(codec: TableCodec<K, V>) {
    this.codec = codec;
  }

  get wanted(): ReadonlyMap<K, V> {
    return this.#wanted;
  }

  differing(copy: CopyIndex): ReadonlyMap<K, Actual<V>> {
    return this.#differing[copy];
  }

  set(key: K, value: V): void {
    const before = this.#wanted.get(key);
    if (before !== undefined && this.codec.same(before, value)) return;
    this.#wanted.set(key, value);
    this.#compare(key, before, value);
  }

  delete(key: K): void {
    const before = this.#wanted.get(key);
    if (before === undefined) return;
    this.#wanted.delete(key);
    this.#compare(key, before, undefined);
  }

  /** Notes what a copy holds under a key, after reading or writing it, or failing to. */
  learn(copy: CopyIndex, key: K, actual: Actual<V>): void {
    if (this.#matches(actual, this.#wanted.get(key))) this.#differing[copy].delete(key);
    else this.#differing[copy].set(key, actual);
  }

  /** Notes all that a copy holds. */
  learnAll(copy: CopyIndex, content: ReadonlyMap<K, V>): void {
    this.#differing[copy].clear();
    for (const [key, value] of content) this.learn(copy, key, value);
    for (const key of this.#wanted.keys()) if (!content.has(key)) this.#differing[copy].set(key, undefined);
  }

  #compare(key: K, before: V | undefined, value: V | undefined): void {
    for (const differing of this.#differing) {
      if (!differing.has(key)) differing.set(key, before);
      else if (this.#matches(differing.get(key), value)) differing.delete(key);
    }
  }

  #matches(actual: Actual<V>, wanted: V | undefined): boolean {
    if (actual === UNKNOWN) return false;
    return actual === undefined || wanted === undefined ? actual === wanted : this.codec.same(actual, wanted);
  }
}
