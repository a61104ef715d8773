/**
 * The compiled state: what one node must enforce, as label-to-IP sets, rulesets over them, and endpoints
 * that hold rulesets. Output of compile, input of every dataplane; knows no kernel and no Kubernetes object.
 */
import type { Address, Prefix } from './address.ts';
import type { Direction, ObjectKey, Protocol } from './cluster.ts';

/**
 * Canonical text of what a set stands for; equal meanings have equal ids on every node and after a restart.
 * For example `pods ns{team=a} pod{app in (db,web)}`, `pods shop/{}`, `ipBlock 10.0.0.0/8 except 10.1.0.0/16`.
 */
export type SetId = string & { readonly __setId: unique symbol };
/** Canonical text: direction, policies, and what the holder's named ports mean. */
export type RulesetId = string & { readonly __rulesetId: unique symbol };

export type IpSet =
  /** Addresses of pods: those that a selector selects, in a `named` set only those whose port of that name means `port`. */
  | { readonly kind: 'pods' | 'named'; readonly id: SetId; readonly members: ReadonlySet<Address> }
  | { readonly kind: 'ipBlock'; readonly id: SetId; readonly cidr: Prefix; readonly except: readonly Prefix[] };

export interface PortRange {
  readonly protocol: Protocol;
  /** First and last port, both included; 0 to 65535 for all. */
  readonly from: number;
  readonly to: number;
}

/** The API object's own name for a rule. */
export interface RuleRef {
  /** Key of the NetworkPolicy. */
  readonly policy: ObjectKey;
  readonly direction: Direction;
  /** Index in `spec.ingress` or `spec.egress`, from 0. */
  readonly index: number;
}

/** Admits traffic with any member of any of the sets, on any of the ports. */
export interface CompiledRule {
  readonly ref: RuleRef;
  readonly peers: readonly SetId[] | 'anyone';
  /** `every`: all ports of all IP protocols. */
  readonly ports: readonly PortRange[] | 'every';
}

/** What isolates and what admits in one direction; pods under the same policies share it. */
export interface Ruleset {
  readonly id: RulesetId;
  readonly direction: Direction;
  /** The policies that isolate, sorted; never empty. */
  readonly policies: readonly ObjectKey[];
  /** In the order of policies, then of rules; the first that admits gives its name to the verdict. */
  readonly rules: readonly CompiledRule[];
}

/** A local pod with an address. */
export interface Endpoint {
  /** Key of the Pod. */
  readonly pod: ObjectKey;
  /** At most one of a family. */
  readonly addresses: readonly Address[];
  /** Absent: not isolated in that direction. */
  readonly ingress?: RulesetId;
  readonly egress?: RulesetId;
}

/** A live, read-only view of everything in force; consistent whenever its owner is not inside a call. */
export interface CompiledState {
  readonly endpoints: ReadonlyMap<ObjectKey, Endpoint>;
  /** Those that an endpoint holds, or a pod that is awaited will hold. */
  readonly rulesets: ReadonlyMap<RulesetId, Ruleset>;
  /** Those that rules of the rulesets' policies name; a set of pods may be empty, one of a named port never is. */
  readonly sets: ReadonlyMap<SetId, IpSet>;
  /**
   * For each address in a `pods` or `named` set: these sets. Blocks are not listed here.
   * A value is never changed in place, and addresses in the same sets share one object.
   */
  readonly memberships: ReadonlyMap<Address, ReadonlySet<SetId>>;
  /** Local pods that have no address yet, and whether a policy selects them; a veth that is not known may be theirs. */
  readonly awaited: ReadonlyMap<ObjectKey, { readonly isolated: boolean }>;
}

/** Of a cluster of which nothing is known yet. */
export const EMPTY_STATE: CompiledState = {
  endpoints: new Map(),
  rulesets: new Map(),
  sets: new Map(),
  memberships: new Map(),
  awaited: new Map(),
};

/** What may differ since the view was last looked at; everything that differs is named, and seldom more. */
export interface StateChanges {
  /** Pods whose endpoint differs, or whether they are awaited. */
  readonly endpoints: ReadonlySet<ObjectKey>;
  readonly rulesets: ReadonlySet<RulesetId>;
  /** Sets that came or went (not those that only changed members: see addresses). */
  readonly sets: ReadonlySet<SetId>;
  /** Addresses whose memberships changed. */
  readonly addresses: ReadonlySet<Address>;
}
