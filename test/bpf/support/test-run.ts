/** One packet at one hook: what goes in and what came of it. */
import type { FieldValue } from '../../../src/dataplane/bpf/struct-codec.ts';

export type Hook = 'from_pod' | 'to_pod' | 'to_node' | 'to_node_l3';

export interface Sent {
  readonly packet: Uint8Array;
  readonly ifindex: number;
  readonly ingressIfindex?: number;
  readonly mark?: number;
  readonly gsoSize?: number;
}

export interface Outcome {
  readonly passed: boolean;
  /** The whole word, as the next hook would find it. */
  readonly mark: number;
  /** By our field of it: the sender's slot (0 none) and whether it is a reply. */
  readonly slot: number;
  readonly reply: boolean;
  /** Names of the reasons that events gave, `POLICY` for REASON_DROP_POLICY. */
  readonly reasons: readonly string[];
  readonly events: readonly Record<string, FieldValue>[];
}
