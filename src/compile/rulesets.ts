/** The policies that isolate a pod in one direction → a ruleset that all pods under the same policies share. */
import { isDeepStrictEqual } from 'node:util';
import type { Direction, NetworkPolicy, Pod } from '../model/cluster.ts';
import type { Ruleset, RulesetId } from '../model/compiled.ts';
import type { NamedPort, PeerTable } from './peers.ts';
import { ActivePolicy, type Meanings, type PolicyRecord } from './policies.ts';
import { namesOf, numbersOf, type PortName, portKey } from './ports.ts';

export interface RulesetRecord {
  readonly id: RulesetId;
  readonly direction: Direction;
  /** Sorted by key. */
  readonly policies: readonly ActivePolicy[];
  readonly meanings: Meanings;
  /** Pods that hold it. */
  holders: number;
}

export class RulesetTable {
  readonly #peers: PeerTable;
  readonly #records = new Map<RulesetId, RulesetRecord>();
  readonly #active = new Set<ActivePolicy>();
  readonly #stale = new Set<RulesetRecord>();
  /** Let go only once everything new is in place, so that what both need is not torn down and built again. */
  readonly #releases: (() => void)[] = [];

  constructor(peers: PeerTable) {
    this.#peers = peers;
  }

  get size(): number {
    return this.#records.size;
  }

  get activePolicies(): number {
    return this.#active.size;
  }

  /** The ruleset of a pod under these policies; undefined when none isolates it in this direction. */
  acquire(policies: Iterable<PolicyRecord>, direction: Direction, pod: Pod): RulesetRecord | undefined {
    const isolating = [...policies]
      .filter(({ policy }) => policy?.policyTypes.includes(direction))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    if (isolating.length === 0) return undefined;
    const meanings = direction === 'ingress' ? meaningsOn(pod, isolating) : new Map<string, number[]>();
    const id = rulesetId(direction, isolating, meanings);
    let record = this.#records.get(id);
    if (record === undefined) {
      const active = isolating.map((policy) => this.#activate(policy, direction));
      record = { id, direction, policies: active, meanings, holders: 0 };
      for (const policy of active) policy.rulesets.add(record);
      this.#records.set(id, record);
      this.#stale.add(record);
    }
    record.holders++;
    return record;
  }

  /** A pod no longer holds the ruleset. Takes effect in `settle`. */
  release(record: RulesetRecord): void {
    this.#releases.push(() => {
      if (--record.holders > 0) return;
      this.#records.delete(record.id);
      this.#stale.add(record);
      for (const policy of record.policies) {
        policy.rulesets.delete(record);
        if (policy.rulesets.size === 0) this.#deactivate(policy);
      }
    });
  }

  /** The policy's content is another. */
  replace({ policy, active }: PolicyRecord): void {
    if (policy === undefined) return;
    for (const direction of active.values()) {
      this.#releases.push(direction.replace(policy));
      this.#markStale(direction);
    }
  }

  /** Lets go of what nobody holds any more. */
  settle(): void {
    for (const release of this.#releases) release();
    this.#releases.length = 0;
  }

  /** Brings the published rulesets up to date; calls back for each that differs. */
  rebuild(
    renumbered: ReadonlySet<NamedPort>,
    published: Map<RulesetId, Ruleset>,
    changed: (id: RulesetId) => void,
  ): void {
    if (renumbered.size > 0) for (const policy of this.#active) if (policy.looksUp(renumbered)) this.#markStale(policy);
    for (const { id } of this.#stale) {
      // By id: a ruleset may have gone and come back as another record in one step.
      const record = this.#records.get(id);
      const wanted = record && build(record);
      if (isDeepStrictEqual(wanted, published.get(id))) continue;
      if (wanted === undefined) published.delete(id);
      else published.set(id, wanted);
      changed(id);
    }
    this.#stale.clear();
  }

  #markStale(policy: ActivePolicy): void {
    for (const ruleset of policy.rulesets) this.#stale.add(ruleset);
  }

  #activate(record: PolicyRecord, direction: Direction): ActivePolicy {
    let active = record.active.get(direction);
    if (active === undefined) {
      active = new ActivePolicy(record, record.policy as NetworkPolicy, direction, this.#peers);
      record.active.set(direction, active);
      this.#active.add(active);
    }
    return active;
  }

  #deactivate(policy: ActivePolicy): void {
    policy.record.active.delete(policy.direction);
    this.#active.delete(policy);
    policy.release();
  }
}

function build({ id, direction, policies, meanings }: RulesetRecord): Ruleset {
  return {
    id,
    direction,
    policies: policies.map((policy) => policy.record.key),
    rules: policies.flatMap((policy) => policy.rules(meanings)),
  };
}

/** What the named ports that the policies' ingress rules ask for mean on the pod. */
function meaningsOn(pod: Pod, policies: readonly PolicyRecord[]): Map<string, number[]> {
  const names = policies.flatMap(({ policy, active }) => {
    return active.get('ingress')?.names ?? policy?.ingress.flatMap((rule) => namesOf(rule.ports)) ?? [];
  });
  return new Map(names.map((name: PortName) => [portKey(name), numbersOf(name, pod.ports)]));
}

/** `ingress shop/default-deny shop/web where http/TCP=8080 metrics/TCP=none`. */
function rulesetId(direction: Direction, policies: readonly PolicyRecord[], meanings: Meanings): RulesetId {
  const named = [...meanings].map(([key, numbers]) => `${key}=${numbers.join('+') || 'none'}`).sort();
  const where = named.length > 0 ? ` where ${named.join(' ')}` : '';
  return `${direction} ${policies.map(({ key }) => key).join(' ')}${where}` as RulesetId;
}
