/** A pod of this node: the policies that select it, the rulesets it holds, and the endpoint these make. */
import { isDeepStrictEqual } from 'node:util';
import type { Direction, NetworkPolicy, ObjectKey, Pod } from '../model/cluster.ts';
import type { Endpoint } from '../model/compiled.ts';
import { matches } from '../model/selector.ts';
import type { PolicyRecord } from './policies.ts';
import type { RulesetRecord, RulesetTable } from './rulesets.ts';

export interface Published {
  readonly endpoints: Map<ObjectKey, Endpoint>;
  readonly awaited: Map<ObjectKey, { readonly isolated: boolean }>;
}

export class LocalPod {
  readonly key: ObjectKey;
  /** Undefined once the pod is not this node's any more. */
  pod: Pod | undefined;
  readonly #policies = new Set<PolicyRecord>();
  readonly #held: Record<Direction, RulesetRecord | undefined> = { ingress: undefined, egress: undefined };
  /** Whether it may have to hold another ruleset. */
  readonly #touched: Record<Direction, boolean> = { ingress: false, egress: false };

  constructor(key: ObjectKey) {
    this.key = key;
  }

  /** Takes the pod as it is now, and finds among the policies of its namespace those that select it. */
  become(pod: Pod | undefined, policies: Iterable<PolicyRecord>): void {
    this.pod = pod;
    this.#policies.clear();
    for (const record of policies) this.meet(record);
    for (const direction of DIRECTIONS) this.#touched[direction] = true;
  }

  /** The policy is new, or another, or gone. Tells whether it selects the pod now or did before. */
  meet(record: PolicyRecord): boolean {
    const selected = this.pod !== undefined && record.policy !== undefined && selects(record.policy, this.pod);
    const before = selected ? this.#policies.has(record) : this.#policies.delete(record);
    if (selected) this.#policies.add(record);
    if (!selected && !before) return false;
    for (const direction of record.policy?.policyTypes ?? []) this.#touched[direction] = true;
    // Those of the policy as it was.
    for (const direction of record.active.keys()) this.#touched[direction] = true;
    return true;
  }

  /** Takes hold of the rulesets that it must have, and lets go of the others. */
  hold(rulesets: RulesetTable): void {
    for (const direction of DIRECTIONS) {
      if (!this.#touched[direction]) continue;
      this.#touched[direction] = false;
      const before = this.#held[direction];
      this.#held[direction] = this.pod && rulesets.acquire(this.#policies, direction, this.pod);
      if (before !== undefined) rulesets.release(before);
    }
  }

  /** Brings what is published of the pod up to date; tells whether it differs. */
  publish({ endpoints, awaited }: Published): boolean {
    const endpoint = this.#endpoint();
    const waits = this.pod === undefined || endpoint !== undefined ? undefined : { isolated: this.#isolated };
    const same = [put(endpoints, this.key, endpoint), put(awaited, this.key, waits)];
    return same.includes(false);
  }

  get #isolated(): boolean {
    return DIRECTIONS.some((direction) => this.#held[direction] !== undefined);
  }

  #endpoint(): Endpoint | undefined {
    if (this.pod === undefined || this.pod.addresses.length === 0) return undefined;
    const { ingress, egress } = this.#held;
    return {
      pod: this.key,
      addresses: this.pod.addresses,
      ...(ingress && { ingress: ingress.id }),
      ...(egress && { egress: egress.id }),
    };
  }
}

const DIRECTIONS = ['ingress', 'egress'] as const;

function selects(policy: NetworkPolicy, pod: Pod): boolean {
  return matches(policy.podSelector, pod.labels);
}

/** Tells whether the value was the same already. */
function put<Value>(map: Map<ObjectKey, Value>, key: ObjectKey, value: Value | undefined): boolean {
  if (isDeepStrictEqual(map.get(key), value)) return true;
  if (value === undefined) map.delete(key);
  else map.set(key, value);
  return false;
}
