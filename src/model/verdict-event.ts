/** What a data plane tells of a packet, in the API objects' own names: the same of each, whatever it has to tell it by. */
import type { Address } from './address.ts';
import type { Direction, ObjectKey } from './cluster.ts';
import type { RuleRef } from './compiled.ts';

/** Why a packet was judged as it was; bpf/abi.h says what each means. */
export type VerdictReason =
  | `allow-${'rule' | 'unisolated' | 'reply' | 'node' | 'self' | 'related'}`
  | `drop-${'policy' | 'pending' | 'source' | 'arp' | 'neighbour' | 'router' | 'vlan' | 'ethertype'}`
  | `drop-${'malformed' | 'fragment' | 'unrelated' | 'destination'}`;

/** Where it was judged. */
export type Hook = 'from-pod' | 'to-pod' | 'to-node';

/** A verdict that the packet path told of. */
export interface VerdictEvent {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: bigint;
  /** The state under which the packet was judged. */
  readonly generation: bigint;
  readonly verdict: 'allow' | 'deny';
  readonly reason: VerdictReason;
  /** The direction that decided. */
  readonly direction: Direction;
  readonly hook: Hook;
  readonly ifindex: number;
  /** The pod whose direction decided; absent where the interface belonged to none, or it was before this agent. */
  readonly pod?: ObjectKey;
  /** Absent for what is not IP. */
  readonly source?: Address;
  readonly destination?: Address;
  /** ICMP: type in the upper, code in the lower byte of the destination port. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly ethertype: number;
  /** IP protocol. */
  readonly protocol: number;
  /** Bytes of the packet. */
  readonly length: number;
  /** The rule that admitted it. */
  readonly rule?: RuleRef;
  /** The policies that isolate the pod in this direction. */
  readonly policies: readonly ObjectKey[];
}

/** Counts since the maps were made. */
export interface VerdictCount {
  /** 0 where the data plane does not count by interface. */
  readonly ifindex: number;
  readonly pod?: ObjectKey;
  readonly direction: Direction;
  readonly reason: VerdictReason;
  readonly rule?: RuleRef;
  /** With `drop-policy`: the policies that isolate. */
  readonly policies: readonly ObjectKey[];
  /** Drops: packets. Admissions: connections. */
  readonly packets: bigint;
  readonly bytes: bigint;
}
