/** A pod of this node: the policies that select it, the rulesets it holds, and the endpoint these make. */
import { isDeepStrictEqual } from 'node:util';
import type { NetworkPolicy, ObjectKey, Pod } from '../model/cluster.ts';
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
  #ingress: RulesetRecord | undefined;
  #egress: RulesetRecord | undefined;

  constructor(key: ObjectKey) {
    this.key = key;
  }

  /** Takes the pod as it is now, and finds among the policies of its namespace those that select it. */
  become(pod: Pod | undefined, policies: Iterable<PolicyRecord>): void {
    this.pod = pod;
    this.#policies.clear();
    for (const record of policies) this.meet(record);
  }

  /** The policy is new, or another, or gone. Tells whether it selects the pod now or did before. */
  meet(record: PolicyRecord): boolean {
    const selected = this.pod !== undefined && record.policy !== undefined && selects(record.policy, this.pod);
    const before = selected ? this.#policies.has(record) : this.#policies.delete(record);
    if (selected) this.#policies.add(record);
    return selected || before;
  }

  /** Takes hold of the rulesets that it must have, and lets go of the others. */
  hold(rulesets: RulesetTable): void {
    const before = [this.#ingress, this.#egress];
    this.#ingress = this.pod && rulesets.acquire(this.#policies, 'ingress', this.pod);
    this.#egress = this.pod && rulesets.acquire(this.#policies, 'egress', this.pod);
    for (const ruleset of before) if (ruleset !== undefined) rulesets.release(ruleset);
  }

  /** Brings what is published of the pod up to date; tells whether it differs. */
  publish({ endpoints, awaited }: Published): boolean {
    const endpoint = this.#endpoint();
    const waits = this.pod === undefined || endpoint !== undefined ? undefined : { isolated: this.#isolated };
    const same = [put(endpoints, this.key, endpoint), put(awaited, this.key, waits)];
    return same.includes(false);
  }

  get #isolated(): boolean {
    return this.#ingress !== undefined || this.#egress !== undefined;
  }

  #endpoint(): Endpoint | undefined {
    if (this.pod === undefined || this.pod.addresses.length === 0) return undefined;
    return {
      pod: this.key,
      addresses: this.pod.addresses,
      ...(this.#ingress && { ingress: this.#ingress.id }),
      ...(this.#egress && { egress: this.#egress.id }),
    };
  }
}

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
