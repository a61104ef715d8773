/** Since when each policy, in its present form, is in force on each pod of this node. */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterEvent, NetworkPolicy, ObjectKey } from '../model/cluster.ts';
import { keyOf } from '../model/cluster.ts';
import type { CompiledState, StateChanges } from '../model/compiled.ts';

/** A policy whose new form is in force, and how many pods of this node it selects. */
export interface AppliedPolicy {
  readonly policy: ObjectKey;
  readonly pods: number;
}

export class PolicyTimes {
  /** By pod, by policy. */
  readonly #since = new Map<ObjectKey, Map<ObjectKey, Date>>();
  /** Policies whose objects came since the last state. */
  readonly #changed = new Set<ObjectKey>();

  /** @param before the policy as it was; one that comes again unchanged, as all do when a source starts anew, is no news */
  noteEvents(events: readonly ClusterEvent[], before: (policy: ObjectKey) => NetworkPolicy | undefined): void {
    for (const event of events) {
      if (event.type === 'delete') {
        if (event.kind === 'NetworkPolicy') this.#changed.add(event.key);
      } else if (event.object.kind === 'NetworkPolicy') {
        const policy = keyOf(event.object);
        if (!isDeepStrictEqual(meaningOf(event.object), meaningOf(before(policy)))) this.#changed.add(policy);
      }
    }
  }

  /** The state is in force: of its pods those that the hint names, or all. @returns the policies that changed and select pods here */
  applied({ endpoints, rulesets }: CompiledState, hint: StateChanges | undefined, at: Date): AppliedPolicy[] {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    const pods = hint?.endpoints ?? new Set([...this.#since.keys(), ...endpoints.keys()]);
    for (const pod of changed.size > 0 ? new Set([...this.#since.keys(), ...pods]) : pods) {
      const endpoint = endpoints.get(pod);
      if (endpoint === undefined) {
        this.#since.delete(pod);
        continue;
      }
      const before = this.#since.get(pod);
      const now = new Map<ObjectKey, Date>();
      for (const id of [endpoint.ingress, endpoint.egress]) {
        for (const policy of (id && rulesets.get(id)?.policies) ?? []) {
          now.set(policy, changed.has(policy) ? at : (before?.get(policy) ?? at));
        }
      }
      this.#since.set(pod, now);
    }
    return [...changed].flatMap((policy) => {
      const selected = this.podsUnder(policy).length;
      return selected === 0 ? [] : [{ policy, pods: selected }];
    });
  }

  since(policy: ObjectKey, pod: ObjectKey): Date | undefined {
    return this.#since.get(pod)?.get(policy);
  }

  podsUnder(policy: ObjectKey): ObjectKey[] {
    return [...this.#since].filter(([, policies]) => policies.has(policy)).map(([pod]) => pod);
  }
}

/** Without where it stands. */
function meaningOf(policy: NetworkPolicy | undefined): unknown {
  if (policy === undefined) return undefined;
  const rules = ({ ingress, egress }: NetworkPolicy) =>
    [ingress, egress].map((list) => list.map(({ peers, ports }) => ({ peers, ports })));
  return [policy.podSelector, policy.policyTypes, rules(policy)];
}
