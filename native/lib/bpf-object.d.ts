import type { BpfMap } from './bpf-map.js';
import type { BpfProgram } from './bpf-program.js';
import { Handle } from './handle.js';
import type { Layout, TypeLayout } from './layout.js';

export interface MapSpec {
  /** Name in C; maps of global variables are called after their section: '.rodata', '.bss'. */
  readonly name: string;
  /** 'hash', 'array', 'percpu_array', 'lpm_trie', 'lru_hash', 'hash_of_maps', 'ringbuf' ... */
  readonly type: string;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** See `mapFlags`. */
  readonly flags: number;
  /** Map-in-map with a declared inner map. */
  readonly inner?: MapSpec;
}

export interface ProgramSpec {
  /** The C function. */
  readonly name: string;
  /** The ELF section: 'tc', 'xdp' ... */
  readonly section: string;
  /** 'sched_cls', 'xdp' ...; 'unspec' where the section does not tell. */
  readonly type: string;
  readonly autoload: boolean;
}

export interface RodataVariable extends TypeLayout {
  readonly section: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** The value that `load` would use: the default of the C source, or what `setRodata` has set. A copy. */
  readonly bytes: Buffer;
}

export interface BpfObjectOptions {
  /** A custom BTF file of the kernel for CO-RE; the running kernel's own when absent. */
  readonly kernelBtf?: string;
}

/** One ELF object: open, adjust, load, use. */
export class BpfObject extends Handle {
  private constructor();
  /**
   * Parses an ELF object with BTF; asks nothing of the kernel and needs no privilege.
   * @throws BpfError ENOENT, or with `log` where the file is no BPF object
   */
  static open(path: string, options?: BpfObjectOptions): BpfObject;
  readonly path: string;
  readonly layout: Layout;
  readonly loaded: boolean;
  /** As declared; changed by `setMaxEntries` and its like. */
  readonly maps: ReadonlyMap<string, MapSpec>;
  readonly programs: ReadonlyMap<string, ProgramSpec>;

  /** A `const volatile` global. @throws TypeError when the object has none of that name */
  rodata(variable: string): RodataVariable;
  /** Sets a `const volatile` global; `bytes` has exactly its size. Before `load` only. */
  setRodata(variable: string, bytes: Uint8Array): void;
  /** Before `load` only, like all setters below. */
  setMaxEntries(map: string, maxEntries: number): void;
  /**
   * For a map-in-map with a declared inner map: another size for that prototype. The kernel wants it of array maps
   * only; hash tables of any size may be put in. Not for inner values with locks or timers: it drops their BTF.
   */
  setInnerMaxEntries(map: string, maxEntries: number): void;
  setMapFlags(map: string, flags: number): void;
  /**
   * Uses an existing map, a pinned one say, instead of making one. The object keeps its own handle to it.
   * @throws BpfError; `load` throws EINVAL when its key, value or size does not fit
   */
  reuseMap(map: string, existing: BpfMap): void;
  setAutoload(program: string, on: boolean): void;

  /** Makes the maps and verifies the programs. @throws BpfError with the verifier's words in `log` */
  load(): void;
  /** A map of the loaded object. The same handle every time; it is closed with the object. */
  map(name: string): BpfMap;
  /** A program of the loaded object. The same handle every time; it is closed with the object. */
  program(name: string): BpfProgram;
}
