import type { BpfProgram } from './bpf-program.js';
import { Handle } from './handle.js';

export type TcDirection = 'ingress' | 'egress';
/** 'tcx': a bpf link (kernel 6.6), gone with its last handle or pin. 'clsact': a direct-action filter, stays until detached. */
export type TcMode = 'tcx' | 'clsact';

/** A clsact filter's place. */
export interface ClsactFilter {
  /** Of the caller's network namespace. */
  readonly ifindex: number;
  readonly direction: TcDirection;
  /** 1-65535, the lower runs first. */
  readonly priority: number;
  readonly handle: number;
}

export interface AttachTcOptions {
  /** Of the caller's network namespace. */
  readonly ifindex: number;
  readonly direction: TcDirection;
  /** 'auto', the default: tcx where the kernel has it. */
  readonly mode?: 'auto' | TcMode;
  /** clsact only; the kernel chooses when absent. A filter in that very place is replaced, atomically. */
  readonly priority?: number;
  readonly handle?: number;
  /** tcx only: pinned before this returns; if that fails nothing stays attached. clsact filters stay by themselves. */
  readonly pinPath?: string;
}

export interface TcLinkInfo {
  /** 0 once the interface is gone or the link is detached. */
  readonly ifindex: number;
  readonly direction: TcDirection;
  readonly mode: TcMode;
  readonly programId: number;
  /** tcx */
  readonly linkId?: number;
  /** clsact */
  readonly priority?: number;
  readonly handle?: number;
}

export interface AttachedProgram {
  readonly mode: TcMode;
  readonly programId: number;
  /** tcx; 0 where attached without a link. */
  readonly linkId?: number;
  /** clsact */
  readonly priority?: number;
  readonly handle?: number;
  /** clsact: the filter's name, as `tc filter show` has it. */
  readonly name?: string;
}

/** A program attached to one direction of an interface. */
export class TcLink extends Handle {
  private constructor();
  /** A pinned tcx link. */
  static openPinned(path: string): TcLink;
  /** An existing clsact filter. @throws BpfError ENOENT */
  static openClsact(filter: ClsactFilter): TcLink;
  readonly mode: TcMode;
  /** clsact: throws BpfError ENOENT when the filter is gone. */
  readonly info: TcLinkInfo;
  /** tcx only; clsact filters stay without it: EOPNOTSUPP. */
  pin(path: string): void;
  /** Removes that pin; missing is fine. Without another pin the link ends when this is closed. */
  unpin(path: string): void;
  /** Swaps the program in place: every packet meets the old or the new one. */
  update(program: BpfProgram): void;
  /** Ends the attachment, pinned or not. Idempotent, also when the interface is gone. A pin is left: a dead one. */
  detach(): void;
}

/** @throws BpfError ENODEV, EPERM, EEXIST */
export function attachTc(program: BpfProgram, options: AttachTcOptions): TcLink;
/**
 * The same in a worker thread of libuv, while JavaScript goes on: the kernel waits for a grace period of 10 to 30 ms for
 * each, and for every other change of interfaces, so more than two at a time gain nothing. Resolves once the program
 * runs; a tcx link is pinned then, and `pinPath` is required. Whatever is closed meanwhile, it goes on.
 * Which interface has the index is looked up when the kernel comes to it, perhaps not the one of the call.
 * It rejects with what `attachTc` throws, and with EPERM from setns where the pool's threads are in another network
 * namespace than the caller and may not change it. Arguments are checked at the call.
 */
export function attachTcInBackground(program: BpfProgram, options: AttachTcOptions): Promise<void>;
/** Removes a clsact filter of the caller's namespace. @returns whether there was one */
export function detachTc(filter: ClsactFilter): boolean;
/** Programs attached, in the order in which they run: tcx first. @throws BpfError ENODEV */
export function listTc(ifindex: number, direction: TcDirection): AttachedProgram[];
