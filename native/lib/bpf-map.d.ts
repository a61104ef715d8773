import { Handle } from './handle.js';
import type { MappedMap } from './mapped-map.js';

/** Flags of BPF_MAP_CREATE, to be joined with `|`. */
export const mapFlags: {
  readonly noPrealloc: 0x1;
  readonly noCommonLru: 0x2;
  readonly numaNode: 0x4;
  readonly rdonly: 0x8;
  readonly wronly: 0x10;
  readonly zeroSeed: 0x40;
  readonly rdonlyProg: 0x80;
  readonly wronlyProg: 0x100;
  readonly mmapable: 0x400;
  readonly innerMap: 0x1000;
};

export interface MapInfo {
  readonly id: number;
  /** 'hash', 'array', 'lpm_trie' ...; the number as text where libbpf knows no name. */
  readonly type: string;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of one CPU's value for per-CPU maps. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters: the kernel cuts names. */
  readonly name: string;
}

export interface MapCreateOptions {
  readonly type: string;
  /** Bytes; 0 for a ring buffer. */
  readonly keySize: number;
  /** Bytes; 0 for a ring buffer. A map-in-map has 4. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  /** At most 15 characters of A-Z a-z 0-9 _ . are kept by the kernel; longer is a TypeError. */
  readonly name?: string;
  /** Map-in-map: the prototype of its inner maps. */
  readonly innerMap?: BpfMap;
}

/** 'any' creates or replaces, 'noexist' only creates (else EEXIST), 'exist' only replaces (else ENOENT). */
export type UpdateFlag = 'any' | 'noexist' | 'exist';

/** `count` keys of `keySize` bytes and as many values of `valueBytes` bytes, each without gaps. */
export interface MapEntries {
  readonly count: number;
  readonly keys: Buffer;
  readonly values: Buffer;
}

/**
 * A map of bytes. Keys have `info.keySize` bytes, values `valueBytes`; another length is a TypeError.
 * Byte order is the machine's own unless the C type says otherwise (`Layout`).
 */
export class BpfMap extends Handle {
  private constructor();
  static create(options: MapCreateOptions): BpfMap;
  static openPinned(path: string): BpfMap;
  static fromId(id: number): BpfMap;
  readonly info: MapInfo;
  /** The name in the object, or the kernel's (cut) name; used in error messages. */
  readonly name: string;
  /**
   * Bytes of one value as get and set use it: `valueSize`, but for per-CPU maps valueSize rounded up to 8
   * times `possibleCpus()`, CPU 0 first.
   */
  readonly valueBytes: number;

  /**
   * A copy of the value, or undefined where there is none. Map-in-map: 4 bytes with the inner map's id.
   * LPM tries: the value of the longest prefix that matches.
   */
  get(key: Uint8Array): Buffer | undefined;
  /** @throws BpfError E2BIG when the map is full (ENOSPC for LPM tries), EEXIST, ENOENT */
  set(key: Uint8Array, value: Uint8Array, flag?: UpdateFlag): void;
  /** @returns whether there was such an element; arrays have nothing to delete: EINVAL */
  delete(key: Uint8Array): boolean;
  /** All keys. Elements that come or go meanwhile may be in it or not; none is in it twice. */
  keys(): Buffer[];
  /** All elements; with the kernel's batch calls where it has them. */
  entries(): [key: Buffer, value: Buffer][];
  /** Like `entries`, joined into two buffers: the cheap form for large maps. */
  entriesBatch(): MapEntries;
  /**
   * Sets `count` elements; a batch call where the kernel has one for this map, else one by one.
   * Not atomic: on an error (BpfError) those before it are set, its message says how many.
   */
  setBatch(keys: Uint8Array, values: Uint8Array, count: number): void;
  /** Deletes the elements that exist. @returns how many there were */
  deleteBatch(keys: Uint8Array, count: number): number;

  /** Map-in-map: puts a map in. Waits for an RCU grace period in the kernel (milliseconds). */
  setInner(key: Uint8Array, inner: BpfMap): void;
  /**
   * Map-in-map: puts a map in under each key, in order. Programs find each as soon as it is in; the promise resolves
   * when no run uses any that were there before. A worker thread of libuv waits for that, once for all of them where the
   * kernel has the batch call (6.8 and later; before it waits for each). Whatever is closed meanwhile, the batch goes on.
   * Not atomic: when it rejects (BpfError), those before the one it broke at are in, its message says how many.
   */
  setInnerBatch(keys: Uint8Array, inners: readonly BpfMap[]): Promise<void>;
  /**
   * Map-in-map: takes the maps out that are there, in a worker thread like `setInnerBatch`; the kernel waits for a grace
   * period for each, but in a hash that has the batch call. @returns how many there were
   */
  deleteInnerBatch(keys: Uint8Array, count: number): Promise<number>;
  /** Map-in-map: a new handle to the inner map. */
  getInner(key: Uint8Array): BpfMap | undefined;

  /** Maps an array with `mapFlags.mmapable`, or the map of a .bss or .data section, into memory. */
  mmap(): MappedMap;
  /** Pins into a bpffs (see `mountBpffs`). @throws BpfError EEXIST, EPERM where it is no bpffs */
  pin(path: string): void;
  /** Removes that pin; missing is fine. */
  unpin(path: string): void;

  /**
   * Resolves when every BPF program run (but sleepable ones) that was under way at the call has ended. It waits in a
   * worker thread of libuv, by an update of a map-in-map of its own: 8-90 ms. No map is needed for it.
   */
  static rcuGracePeriod(): Promise<void>;
}
