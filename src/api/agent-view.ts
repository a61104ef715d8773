/** What status, flows, metrics and explanations read of the running agent. Looking changes nothing. */
import type { Dataplane, DesiredState, Unprotected } from '../dataplane/contract.ts';
import type { ClusterObject, NetworkPolicy, ObjectKey, Warning } from '../model/cluster.ts';
import type { NameLookup } from '../observe/name-index.ts';
import type { Timings } from '../observe/timings.ts';

/** The state in force and when it came. */
export interface InForce {
  readonly state: DesiredState;
  readonly at: Date;
  readonly generation: bigint;
  readonly writes: number;
  /** From the oldest event that it takes in to being in force. */
  readonly milliseconds: number;
}

export interface AgentView {
  readonly node: string;
  readonly startedAt: Date;
  readonly dataplane: Dataplane;
  readonly names: NameLookup;
  readonly timings: Timings;
  /** Undefined before the first state. */
  readonly inForce: InForce | undefined;
  /** What the source has said last. */
  readonly change: { readonly synced: boolean; readonly warnings: readonly Warning[] };
  /** What keeps the node from being ready. */
  faults(): readonly string[];
  unprotected(): readonly Unprotected[];
  /** When the policy, as it is now, came into force on the pod; undefined when it is not. */
  since(policy: ObjectKey, pod: ObjectKey): Date | undefined;
  policy(key: ObjectKey): NetworkPolicy | undefined;
  /** All that is known of the cluster; made when asked for. */
  objects(): Iterable<ClusterObject>;
}
