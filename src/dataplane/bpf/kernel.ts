/** What the data plane asks of the kernel, small enough to be played in memory: the tests' kernel counts and breaks every write. */
import type { LinkRole, StaleLink } from '../contract.ts';
import type { Abi, CopiedMap } from './abi.ts';
import type { Gone } from './counts.ts';
import type { EarlierSlots } from './earlier-slots.ts';
import type { CopyIndex } from './table.ts';

/** Part of the binding's BpfMap. */
export interface KernelMap {
  /** Sets `count` elements, not atomically. @throws BpfError */
  setBatch(keys: Uint8Array, values: Uint8Array, count: number): void;
  /** Deletes the elements that exist. @throws BpfError */
  deleteBatch(keys: Uint8Array, count: number): number;
  entriesBatch(): { readonly count: number; readonly keys: Uint8Array; readonly values: Uint8Array };
}

export interface Generation {
  load(): bigint;
  /** One aligned store, after everything written before it. */
  store(value: bigint): void;
  /** Up to this number verdicts may stand in tables that came along from other maps: no state gets such a number. */
  readonly taken: bigint;
}

export type FlowFamily = 4 | 6;

/** An endpoint's table of flows. */
export interface FlowTableId {
  readonly family: FlowFamily;
  readonly slot: number;
}

/** One to be made. */
export interface NewFlowTable extends FlowTableId {
  /** Which pod's it is, by which addresses, at which interface: by no one else's connections may its replies pass. */
  readonly owner: string;
}

export interface FlowTableStore {
  existing(): Iterable<FlowTableId>;
  /**
   * Empty tables, or those that the same owners have in the same slots of another layout's maps, in place of those that are
   * there if any. Resolves when programs find them: some may still use the old ones.
   */
  create(tables: readonly NewFlowTable[]): Promise<void>;
  /**
   * Tables ahead of their owners, so that `create` has little left to do for them: takes a grace period, in the background.
   * What nobody has got is among the `existing` of the next process.
   */
  provide(tables: readonly FlowTableId[]): Promise<void>;
  /** Missing ones are fine. Takes a grace period for each, in the background. */
  delete(tables: readonly FlowTableId[]): Promise<void>;
}

/** An interface in a role. */
export interface LinkOf {
  readonly ifindex: number;
  readonly role: LinkRole;
}

export interface Attachments {
  /**
   * Attaches what the role needs and is not there. Idempotent; an interface that is gone is not an error. It begins at once;
   * the kernel takes its time, while everything else goes on.
   * @param verify asks the kernel even about what this process has attached: the index may belong to a new interface
   * @returns undefined: all is there; else when it is. It rejects with the BpfError, and the next call begins anew.
   */
  ensure(ifindex: number, role: LinkRole, verify?: boolean): Promise<void> | undefined;
  /** Grows with every change of what is known to be attached: as long as it stays, `ensure` has nothing new to say. */
  readonly version: number;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
  /**
   * Swaps programs that an agent before this one has attached for ours, once our maps are in force: all that mark packets
   * first, then those that judge by the marks. @returns what could not be swapped, and goes on as it was
   */
  renew(links: Iterable<LinkOf>): StaleLink[];
  /** Whether programs of an agent before this one may still run somewhere. */
  older(): boolean;
  /** The interface went: what runs behind its index, in either role, is asked of the kernel before it is relied on. */
  forget(ifindex: number): void;
  /** Interfaces that were given programs, by this agent or one before; those that get some just now are left out. */
  attached(): Iterable<LinkOf>;
  /** Whether the interface that was given programs still exists. */
  alive(ifindex: number, role: LinkRole): boolean;
  /** Programs of the role that the kernel does not run there, by name, but those on their way; none of an interface that is gone. */
  missing(ifindex: number, role: LinkRole): readonly string[];
  /** Takes our programs off and removes their pins. Idempotent. */
  remove(ifindex: number, role: LinkRole): void;
}

export interface Kernel {
  readonly abi: Abi;
  readonly generation: Generation;
  readonly flows: FlowTableStore;
  readonly attachments: Attachments;
  map(name: CopiedMap, copy: CopyIndex): KernelMap;
  /** Elements of each copy of a map. */
  capacity(name: CopiedMap): number;
  /** Resolves when every run of a program that was under way at the call has ended. */
  gracePeriod(): Promise<void>;
  /** Removes the counts of interfaces and rules. @throws {BpfError} */
  forgetCounts(gone: Gone): void;
  /** Slots by which programs of other layouts that are still attached mark packets. */
  earlierSlots(): EarlierSlots;
  /** Drops pinned maps of other layouts, when no program that uses them is attached any more. */
  removeOtherLayouts(): void;
  /** Lets go of handles and the lock; enforcement stays. Idempotent. */
  close(): void;
}
