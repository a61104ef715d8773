import { Handle } from './handle.js';

/** The parts of struct __sk_buff that a test-run can set and read; all unsigned 32-bit but tstamp. */
export interface SkbContext {
  mark?: number;
  priority?: number;
  /** Must be a device of the caller's network namespace; 0 or absent is its loopback. */
  ifindex?: number;
  ingressIfindex?: number;
  /** Five words. */
  cb?: readonly number[];
  tstamp?: bigint;
  wireLength?: number;
  gsoSegments?: number;
  gsoSize?: number;
}

export interface TestRunOptions {
  /** From the Ethernet header on. The kernel takes 14 bytes to about a page; too short or long is EINVAL. */
  readonly packet: Uint8Array;
  /** Runs; 1 when absent. The packet that a run leaves is the next one's. */
  readonly repeat?: number;
  /** For programs on __sk_buff. Absent: none is passed, and the result has none. */
  readonly context?: SkbContext;
  /** Room for the packet that comes out, in bytes; the packet's size and 512 when absent. ENOSPC if too small. */
  readonly dataOut?: number;
}

export interface TestRunResult {
  /** Signed 32 bits: TC_ACT_UNSPEC is -1. */
  readonly returnValue: number;
  readonly packet: Buffer;
  /** Mean of one run, nanoseconds. */
  readonly durationNs: number;
  /** Only where one was passed. */
  readonly context?: Required<SkbContext>;
}

export interface ProgramInfo {
  readonly id: number;
  /** At most 15 characters. */
  readonly name: string;
  readonly type: string;
  /** The kernel's hash of the instructions, hexadecimal. */
  readonly tag: string;
  /** Bytes of machine code; 0 without JIT. */
  readonly jitedSize: number;
  /** Instructions of 8 bytes after the verifier's rewriting. */
  readonly xlatedInstructions: number;
  readonly verifiedInstructions: number;
  readonly mapIds: readonly number[];
  /** Only counted while kernel.bpf_stats_enabled is set. */
  readonly runCount: bigint;
  readonly runTimeNs: bigint;
}

export class BpfProgram extends Handle {
  private constructor();
  static openPinned(path: string): BpfProgram;
  static fromId(id: number): BpfProgram;
  /** The name in the object, or the kernel's (cut) name. */
  readonly name: string;
  readonly info: ProgramInfo;
  /** Runs the program on a packet that goes nowhere. Blocks for repeat * duration. */
  testRun(options: TestRunOptions): TestRunResult;
  /** The translated instructions, 8 bytes each, as the kernel runs or compiles them (helper calls inlined or not). */
  xlated(): Buffer;
  pin(path: string): void;
  /** Removes that pin; missing is fine. */
  unpin(path: string): void;
}
