/**
 * Many addresses of one family, for asking which of them lie in a prefix: in buckets by their first bits, so that a node's
 * pods stand together and an address costs little more than its place in a set.
 */
import { type Address, addressBytes, type Family } from '../../model/address.ts';
import { commonBits } from './prefix-trie.ts';

interface Bucket {
  /** Network order; those behind the bucket's bits mean nothing. */
  readonly start: Uint8Array;
  readonly addresses: Set<Address>;
}

/** What one node's pods usually share. */
const BUCKET_BITS: Readonly<Record<Family, number>> = { 4: 24, 6: 64 };

export class TrackedAddresses {
  readonly #bits: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(family: Family) {
    this.#bits = BUCKET_BITS[family];
  }

  add(address: Address): void {
    const start = addressBytes(address);
    const key = this.#keyOf(start);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, { start, addresses: new Set([address]) });
    else bucket.addresses.add(address);
  }

  delete(address: Address): void {
    const key = this.#keyOf(addressBytes(address));
    const addresses = this.#buckets.get(key)?.addresses;
    if (addresses?.delete(address) && addresses.size === 0) this.#buckets.delete(key);
  }

  /** Those inside a prefix of `length` bits. */
  *within(bytes: Uint8Array, length: number): Generator<Address> {
    if (length < this.#bits) {
      for (const { start, addresses } of this.#buckets.values()) {
        if (commonBits(start, bytes, length) === length) yield* addresses;
      }
      return;
    }
    for (const address of this.#buckets.get(this.#keyOf(bytes))?.addresses ?? []) {
      if (commonBits(addressBytes(address), bytes, length) === length) yield address;
    }
  }

  #keyOf(bytes: Uint8Array): string {
    let key = '';
    for (let i = 0; i < this.#bits / 8; i++) key += String.fromCharCode(bytes[i] as number);
    return key;
  }
}
