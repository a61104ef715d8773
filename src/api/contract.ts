/**
 * What the agent tells over its unix socket, and `selvedge status`, `flows` and `explain` ask: paths, and the JSON that
 * each gives. Times are ISO 8601 in UTC; objects are named `NAMESPACE/NAME`.
 */
import type { Direction, ObjectKey, Warning } from '../model/cluster.ts';
import type { Losses, MapFill, Verification } from '../model/observation.ts';
import type { VerdictReason } from '../model/verdict-event.ts';

/** Where the agent listens when it is not told otherwise; mode 0600. */
export const DEFAULT_SOCKET = '/run/selvedge/agent.sock';

/**
 * GET  /v1/status                 Status
 * GET  /v1/policies/NS/NAME       PolicyStatus; 404 when there is none
 * GET  /v1/flows?...              FlowLine as JSON lines, see FlowQuery
 * POST /v1/explain                an ExplainRequest; 200 ExplainReply, 422 for a query that names what is not there
 * POST /v1/verify                 VerifyReply
 * GET  /v1/metrics                as the text page that Prometheus scrapes
 * Errors are ErrorReply.
 */
export const PATHS = {
  status: '/v1/status',
  policies: '/v1/policies/',
  flows: '/v1/flows',
  explain: '/v1/explain',
  verify: '/v1/verify',
  metrics: '/v1/metrics',
} as const;

export interface ErrorReply {
  readonly error: { readonly code: string; readonly message: string };
}

export interface Status {
  readonly node: string;
  readonly version: string;
  readonly startedAt: string;
  readonly ready: boolean;
  /** What keeps the node from being ready. */
  readonly faults: readonly string[];
  readonly dataplane: { readonly kind: string; readonly reason: string };
  readonly sources: {
    readonly kind: 'kubernetes' | 'directory';
    readonly synced: boolean;
    readonly lagSeconds?: number;
  };
  readonly interfaces: {
    readonly enforced: number;
    readonly pending: readonly {
      readonly name: string;
      readonly verdict: 'open' | 'closed';
      readonly reason: string;
    }[];
  };
  /** Pods of this node. */
  readonly pods: { readonly known: number; readonly isolated: number };
  readonly policies: readonly PolicySummary[];
  readonly maps: readonly MapFill[];
  readonly losses: Losses;
  /** Absent before the first state is in force. */
  readonly lastUpdate?: {
    readonly at: string;
    readonly generation: number;
    readonly writes: number;
    /** From the oldest event that it takes in to being in force. */
    readonly milliseconds: number;
  };
  readonly warnings: readonly Warning[];
}

export interface PolicySummary {
  readonly policy: ObjectKey;
  readonly policyTypes: readonly Direction[];
  /** Pods of this node that it selects. */
  readonly selects: number;
}

export interface PolicyStatus extends PolicySummary {
  readonly pods: readonly {
    readonly pod: ObjectKey;
    readonly state: 'enforced' | 'pending' | 'no-interface';
    /** Since when this very policy, in its present form, is in force on it. */
    readonly since?: string;
  }[];
  readonly warnings: readonly Warning[];
}

/** Parameters of /v1/flows; several values of one, separated by commas, are alternatives, different ones must all hold. */
export interface FlowQuery {
  /** Namespace of either end. */
  readonly namespace?: string;
  /** NAMESPACE/POD of either end. */
  readonly pod?: string;
  /** NAMESPACE/POD, NAMESPACE/, an address or a prefix. */
  readonly from?: string;
  readonly to?: string;
  /** `80`, `80/tcp`, `53/udp`, `tcp`. */
  readonly port?: string;
  readonly verdict?: 'allow' | 'deny';
  /** NAMESPACE/NAME of a policy that admitted or isolates. */
  readonly policy?: string;
  /** ISO 8601, or a duration back from now: `90s`, `5m`, `1h`. */
  readonly since?: string;
  /** At most this many of those that were kept, the newest. */
  readonly last?: number;
  readonly follow?: boolean;
}

export interface FlowEnd {
  readonly address?: string;
  readonly pod?: ObjectKey;
  readonly service?: ObjectKey;
  readonly node?: string;
}

export interface Flow {
  readonly kind: 'flow';
  readonly time: string;
  readonly node: string;
  readonly verdict: 'allow' | 'deny';
  readonly reason: VerdictReason;
  readonly direction: Direction;
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`, else the number; for what is not IP its ethertype as `0x0806`. */
  readonly protocol: string;
  readonly sourcePort?: number;
  readonly port?: number;
  /** The rule that admitted it. */
  readonly rule?: { readonly policy: ObjectKey; readonly field: string };
  /** The policies that isolate the pod in the direction that decided. */
  readonly policies: readonly ObjectKey[];
  /** Packets of the same that this line stands for; 1 when it was alone. */
  readonly count: number;
}

/** Flows that were not told: the kernel had no room, a limit was reached, or the reader was too slow. */
export interface FlowsLost {
  readonly kind: 'lost';
  readonly time: string;
  readonly count: number;
  readonly why: 'kernel' | 'limit' | 'reader';
}

export type FlowLine = Flow | FlowsLost;

export interface ExplainRequest {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly family?: 'IPv4' | 'IPv6';
}

export interface ExplainReply {
  /** What `selvedge explain -o jsonl` prints, without the fields of the request. */
  readonly record: unknown;
  /** NetworkPolicies that would admit what is denied. */
  readonly additions: readonly unknown[];
  /** What it prints as text. */
  readonly text: string;
}

/** What POST /v1/verify gives. */
export type VerifyReply = Verification;
