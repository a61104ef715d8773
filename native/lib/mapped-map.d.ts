import { Handle } from './handle.js';

/**
 * A map's memory, shared with the programs. Element i of an array map starts at i * (valueSize rounded up to 8).
 * Offsets are bytes; one that is misaligned or out of range is a RangeError.
 */
export class MappedMap extends Handle {
  private constructor();
  /** Bytes. */
  readonly size: number;
  /** One aligned atomic load with acquire order. */
  load64(offset: number): bigint;
  /** One aligned atomic store with release order: whoever sees the value sees all that was written before it. */
  store64(offset: number, value: bigint): void;
  load32(offset: number): number;
  store32(offset: number, value: number): void;
  /** A copy, not atomic. */
  read(offset: number, length: number): Buffer;
}
