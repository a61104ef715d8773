/** What the ipset data plane can be told, and what it tells. */
import type { Address, Family } from '../../model/address.ts';
import type { VerdictEvent } from '../../model/verdict-event.ts';
import type { Unprotected } from '../contract.ts';
import type { Lock } from '../lock.ts';
import type { MarkField } from './mark-field.ts';

export interface IpsetDataplaneOptions {
  /** Whether traffic of a pod to its own node is judged by its egress policies; else it always passes. */
  readonly judgeOwnNode?: boolean;
  /** Turn on what makes iptables see bridged packets; else it is only said when it is off. */
  readonly setSysctls?: boolean;
  readonly markField?: MarkField;
  /** Told of every packet that is dropped. */
  readonly onEvent?: (event: VerdictEvent) => void;
  /** NFLOG group that gets a copy of each dropped packet, and is listened to; 1505 when absent and `onEvent` is there, else none. */
  readonly nflogGroup?: number;
  /** Families that the node has; both when absent. */
  readonly families?: readonly Family[];
  /** Milliseconds between looks whether somebody else has changed what is ours; 0 for never. 10 s when absent. */
  readonly auditEvery?: number;
  /** Milliseconds without a change after which the idle side is brought to the state in force; 0 for never. 200 when absent. */
  readonly catchUpAfter?: number;
  /** What an agent before has left in force, as `inForce` gives it; absent: nothing. */
  readonly inherited?: ReadonlyMap<number, readonly Address[]>;
  /** Told when somebody else's changes were found and when they could not be mended; what is ours is written again. */
  readonly onDamage?: (damage: Damage) => void;
  /** Told whenever `unprotected` has changed. */
  readonly onUnprotected?: (unprotected: readonly Unprotected[]) => void;
  /** Held until `close`. */
  readonly lock?: Lock;
}

export interface Damage {
  /** `chain SELVEDGE-L-FWD`, `the jump in FORWARD` ... */
  readonly what: readonly string[];
  /** Why it could not be mended yet. */
  readonly error?: unknown;
}
