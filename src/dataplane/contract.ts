/**
 * What every data plane must do: bring the kernel to a wanted state in one step that no packet sees half of.
 * The caller hands over whole states; what to write is worked out against what is there.
 */
import type { Observable } from 'rxjs';
import type { Address } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';
import type { CompiledState, StateChanges } from '../model/compiled.ts';
import type { Binding, ExitLink } from '../model/links.ts';
import type { Losses, MapFill, Verification } from '../model/observation.ts';
import type { VerdictCount, VerdictEvent } from '../model/verdict-event.ts';

/** What an interface is to the node: a pod's, or a way out. */
export type LinkRole = 'pod' | 'exit';

/** An interface whose programs are those of an agent before this one: they judge by that one's last state. */
export interface StaleLink {
  readonly ifindex: number;
  readonly role: LinkRole;
  readonly error: unknown;
}

/** Everything that one node must enforce. */
export interface DesiredState {
  readonly compiled: CompiledState;
  /** By ifindex: every pod link of the node. */
  readonly bindings: ReadonlyMap<number, Binding>;
  /** By ifindex. */
  readonly exits: ReadonlyMap<number, ExitLink>;
  /** Addresses of the node itself. */
  readonly ownAddresses: ReadonlySet<Address>;
  /** What an interface may do that no binding names yet. */
  readonly pending: 'open' | 'closed';
}

/**
 * What may differ from the state that was applied before; absent for "anything". Bindings, exits and own addresses are few:
 * always compared, but that a map which is the very one of the state before has not changed.
 */
export type Hint = StateChanges | undefined;

export interface Applied {
  /** Number of the state now in force, growing. */
  readonly generation: bigint;
  /** Writes to maps or sets that this state took. */
  readonly writes: number;
  /** From the call to the write that put the state in force, in milliseconds. */
  readonly milliseconds: number;
  /** Interfaces where this state is not in force yet; taking them over is tried again until it works. Absent: none. */
  readonly stale?: readonly StaleLink[];
}

/** Pods that a state in force does not protect, or not wholly, and what is missing for it. */
export interface Unprotected {
  readonly reason: string;
  readonly pods: readonly ObjectKey[];
}

/** What a data plane tells of packets and of itself. Nothing here holds up an update or writes anything. */
export interface Observation {
  /** Verdicts as they come, from the first subscription to the last's end; never an error. */
  readonly verdicts: Observable<VerdictEvent>;
  /** Of the interfaces that are there, since maps or rules were made. Reads the kernel. */
  counts(): Promise<readonly VerdictCount[]>;
  losses(): Promise<Losses>;
  fill(): Promise<readonly MapFill[]>;
  /** Reads all that is in force and compares it with the state that was applied last, worked out anew. */
  verify(state: DesiredState): Promise<Verification>;
}

export interface Dataplane {
  readonly kind: 'bpf' | 'ipset' | 'memory';
  /** Whether traffic of a pod to its own node is judged by its egress policies; absent: no. */
  readonly judgesOwnNode?: boolean;
  /**
   * What an agent before this one has left in force; undefined: nothing at all. By ifindex: the addresses that the kernel
   * takes for those of the pod behind it, empty where that is not known. Interfaces that are gone are left out.
   * To be asked before the first `apply`.
   */
  inForce(): ReadonlyMap<number, readonly Address[]> | undefined;
  /**
   * Says what interfaces may do that are guarded before the first `apply` of this process, where no state says it yet;
   * else it does nothing. What an agent before this one enforces stays. One call at a time, as with `apply`.
   */
  begin?(pending: DesiredState['pending']): Promise<void>;
  /** Resolves when the next state can be written at once; waiting for it lets more changes join that state. */
  ready(): Promise<void>;
  /**
   * Puts the state in force and resolves once it is. One call at a time; the state must not change until it resolves.
   * When it rejects, the state before stays in force, whole, and the next call may be handed the union of both hints.
   * Once in force it stays so: what fails afterwards, at interfaces that an agent before has left, is told as `stale`.
   * @throws {CapacityError} something does not fit; names what and how much.
   */
  apply(state: DesiredState, hint: Hint): Promise<Applied>;
  /**
   * Gives an interface its program at once, before the next state is applied; it is pending until a state binds it.
   * Asks the kernel what is there. Idempotent; an interface that is gone is not an error.
   * @returns nothing, when it has them; else a promise that resolves then, or rejects. No state has to wait for it.
   */
  guard(ifindex: number, role?: LinkRole): Promise<void> | undefined | void;
  /**
   * The interface went, and its index may come back as another one's: what runs there is asked of the kernel again when it
   * is guarded or applied next.
   */
  forget(ifindex: number): void;
  /** As of the last state, or of what was noticed since. Absent or empty: all pods are protected. */
  readonly unprotected?: readonly Unprotected[];
  /** Absent where there is nothing to tell. */
  readonly observation?: Observation;
  /** Lets go of all handles; enforcement stays in place. Idempotent. */
  close(): void;
}

/** Something does not fit into the data plane; nothing was changed. */
export class CapacityError extends Error {
  readonly code = 'CAPACITY';
  constructor(what: string, needed: number, capacity: number) {
    super(`${what}: ${needed} needed, there is room for ${capacity}`);
    this.name = 'CapacityError';
  }
}
