/**
 * Cluster events → the compiled state of one node, by working out again only what an event concerns.
 * The state depends on the objects alone and never on the order or grouping of the events that brought them.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Address } from '../model/address.ts';
import {
  type ClusterEvent,
  type ClusterObject,
  type Kind,
  keyOf,
  type Namespace,
  type NetworkPolicy,
  type ObjectKey,
  type Pod,
} from '../model/cluster.ts';
import type { CompiledState, Endpoint, IpSet, Ruleset, RulesetId, SetId, StateChanges } from '../model/compiled.ts';
import { ChangeLog } from './changes.ts';
import { Claims, claimedBy } from './claims.ts';
import { LocalPod } from './local-pod.ts';
import { type NamespaceRecord, NamespaceTable } from './namespaces.ts';
import { PeerTable } from './peers.ts';
import type { PolicyRecord } from './policies.ts';
import { RulesetTable } from './rulesets.ts';
import { samePod, samePolicy } from './same.ts';
import { Memberships, type SetRecord } from './sets.ts';

/** What the compiler keeps, in numbers: for metrics, and to see that nothing is left over. */
export interface CompilerCounts {
  readonly namespaces: number;
  readonly scopes: number;
  /** Pairs of a scope and a namespace in it. */
  readonly placements: number;
  readonly claimedAddresses: number;
  readonly peers: number;
  readonly combinations: number;
  readonly rulesets: number;
  readonly activePolicies: number;
}

export class Compiler {
  readonly #node: string | undefined;
  readonly #namespaces = new NamespaceTable();
  readonly #claims = new Claims();
  readonly #peers = new PeerTable(this.#namespaces, (address) => this.#dirtyAddresses.add(address));
  readonly #memberships = new Memberships((record) => this.#peers.touch(record));
  readonly #rulesets = new RulesetTable(this.#peers);
  readonly #published = {
    endpoints: new Map<ObjectKey, Endpoint>(),
    rulesets: new Map<RulesetId, Ruleset>(),
    sets: new Map<SetId, IpSet>(),
    memberships: this.#memberships.byAddress,
    awaited: new Map<ObjectKey, { readonly isolated: boolean }>(),
  } satisfies CompiledState;
  readonly #conflicts = new Map<Address, readonly ObjectKey[]>();
  #changes = new ChangeLog();

  readonly #dirtyAddresses = new Set<Address>();
  readonly #dirtyLocals = new Set<LocalPod>();
  readonly #dirtyPolicies = new Set<PolicyRecord>();
  readonly #dirtyNamespaces = new Set<NamespaceRecord>();

  /** @param options.node name of the node whose pods are endpoints here; absent: every node, for questions about the whole cluster */
  constructor(options: { readonly node?: string }) {
    this.#node = options.node;
  }

  /** A live view: each `apply` changes it in place. Values of its maps are replaced, but a set's members change in place. */
  get state(): CompiledState {
    return this.#published;
  }

  /** Addresses that more than one active pod of this node claims, and those pods, sorted: none of them can be told by it. */
  get conflicts(): ReadonlyMap<Address, readonly ObjectKey[]> {
    return this.#conflicts;
  }

  get counts(): CompilerCounts {
    return {
      namespaces: this.#namespaces.size,
      scopes: this.#namespaces.scopes,
      placements: this.#namespaces.placements,
      claimedAddresses: this.#claims.size,
      peers: this.#peers.size,
      combinations: this.#memberships.combinations,
      rulesets: this.#rulesets.size,
      activePolicies: this.#rulesets.activePolicies,
    };
  }

  /** The pod that an address belongs to, of any node; undefined while several claim it. */
  podAt(address: Address): Pod | undefined {
    const claim = this.#claims.of(address);
    return claim === undefined || Array.isArray(claim) ? undefined : (claim as Pod);
  }

  policy(key: ObjectKey): NetworkPolicy | undefined {
    const [namespace, name] = splitKey(key);
    return this.#namespaces.get(namespace)?.policies.get(name)?.policy;
  }

  /** Every namespace, pod and policy that is kept. */
  *objects(): Generator<Namespace | Pod | NetworkPolicy> {
    for (const { name, labels, declared, pods, policies } of this.#namespaces.all()) {
      if (declared) yield { kind: 'Namespace', name, labels };
      yield* pods.values();
      for (const { policy } of policies.values()) if (policy !== undefined) yield policy;
    }
  }

  /**
   * Whether the state may depend on an event, or on others' after it that it undoes; false for most that happens to pods
   * elsewhere that have no address yet. Those may wait for one that matters.
   */
  matters(event: ClusterEvent): boolean {
    const kind = event.type === 'upsert' ? event.object.kind : event.kind;
    if (kind !== 'Pod') return kind === 'Namespace' || kind === 'NetworkPolicy';
    const now = event.type === 'upsert' ? (event.object as Pod) : undefined;
    const [namespace, name] =
      now === undefined ? splitKey((event as { key: ObjectKey }).key) : [now.namespace, now.name];
    const before = this.#namespaces.get(namespace)?.pods.get(name);
    const counts = (pod: Pod | undefined) => pod !== undefined && (this.#isHere(pod) || claimedBy(pod).length > 0);
    return counts(before) || counts(now);
  }

  /** Applies the events as one step, in order. An object that is the same as before costs a comparison. */
  apply(events: readonly ClusterEvent[]): void {
    for (const event of events) {
      if (event.type === 'upsert') this.#upsert(event.object);
      else this.#delete(event.kind, event.key);
    }
    this.#settle();
  }

  /** What may differ from the state at the last call of this; the pods of `awaited` and `conflicts` stand among the endpoints. */
  takeChanges(): StateChanges {
    const taken = this.#changes;
    this.#changes = new ChangeLog();
    return taken;
  }

  #upsert(object: ClusterObject): void {
    // Nodes and Services decide no verdict: traffic is judged on the addresses of its real ends.
    if (object.kind === 'Namespace') this.#putNamespace(object.name, object);
    else if (object.kind === 'Pod') this.#putPod(object.namespace, object.name, object);
    else if (object.kind === 'NetworkPolicy') this.#putPolicy(object.namespace, object.name, object);
  }

  #delete(kind: Kind, key: ObjectKey): void {
    const [namespace, name] = splitKey(key);
    if (kind === 'Namespace') this.#putNamespace(key, undefined);
    else if (kind === 'Pod') this.#putPod(namespace, name, undefined);
    else if (kind === 'NetworkPolicy') this.#putPolicy(namespace, name, undefined);
  }

  #putNamespace(name: string, object: Namespace | undefined): void {
    if (object === undefined && this.#namespaces.get(name) === undefined) return;
    const record = this.#obtainNamespace(name);
    if (!this.#namespaces.relabel(record, object?.labels)) return;
    for (const pod of record.pods.values()) for (const address of claimedBy(pod)) this.#dirtyAddresses.add(address);
  }

  #putPod(namespaceName: string, name: string, pod: Pod | undefined): void {
    const before = this.#namespaces.get(namespaceName)?.pods.get(name);
    if (before === undefined ? pod === undefined : pod !== undefined && samePod(before, pod)) return;
    const namespace = this.#obtainNamespace(namespaceName);
    if (pod === undefined) namespace.pods.delete(name);
    else namespace.pods.set(name, pod);

    for (const address of claimedBy(before)) {
      this.#claims.delete(address, before as Pod);
      this.#dirtyAddresses.add(address);
    }
    for (const address of claimedBy(pod)) {
      this.#claims.add(address, pod as Pod);
      this.#dirtyAddresses.add(address);
    }
    this.#putLocal(namespace, name, pod);
  }

  #putLocal(namespace: NamespaceRecord, name: string, pod: Pod | undefined): void {
    // "Pods running with hostNetwork" share the node's address and are no endpoints; finished ones send nothing.
    const isLocal = pod !== undefined && this.#isHere(pod) && !pod.hostNetwork && !pod.finished;
    let local = namespace.locals.get(name);
    if (local === undefined) {
      if (!isLocal) return;
      local = new LocalPod(keyOf(pod));
      namespace.locals.set(name, local);
    }
    local.become(isLocal ? pod : undefined, namespace.policies.values());
    this.#dirtyLocals.add(local);
  }

  #putPolicy(namespaceName: string, name: string, policy: NetworkPolicy | undefined): void {
    let record = this.#namespaces.get(namespaceName)?.policies.get(name);
    const before = record?.policy;
    if (before === undefined ? policy === undefined : policy !== undefined && samePolicy(before, policy)) return;
    const namespace = this.#obtainNamespace(namespaceName);
    if (record === undefined) {
      record = { key: `${namespaceName}/${name}` as ObjectKey, policy, active: new Map() };
      namespace.policies.set(name, record);
    }
    record.policy = policy;
    this.#dirtyPolicies.add(record);
    for (const local of namespace.locals.values()) if (local.meet(record)) this.#dirtyLocals.add(local);
  }

  #isHere(pod: Pod): boolean {
    return this.#node === undefined || pod.node === this.#node;
  }

  #obtainNamespace(name: string): NamespaceRecord {
    const record = this.#namespaces.obtain(name);
    this.#dirtyNamespaces.add(record);
    return record;
  }

  /** First what is wanted of peers, then who is in their sets, then the rules over sets that exist, then who holds them. */
  #settle(): void {
    for (const policy of this.#dirtyPolicies) this.#rulesets.replace(policy);
    for (const local of this.#dirtyLocals) local.hold(this.#rulesets);
    this.#rulesets.settle();
    for (const address of this.#dirtyAddresses) this.#refresh(address);
    const renumbered = this.#peers.settle(this.#published.sets, (id) => this.#changes.sets.add(id));
    this.#rulesets.rebuild(renumbered, this.#published.rulesets, (id) => this.#changes.rulesets.add(id));
    for (const local of this.#dirtyLocals) {
      if (local.publish(this.#published)) this.#changes.endpoints.add(local.key);
    }
    this.#sweep();
  }

  /** Works out anew which sets an address is in. */
  #refresh(address: Address): void {
    const claim = this.#claims.of(address);
    const records: SetRecord[] = [];
    if (Array.isArray(claim)) this.#collectCommon(claim as readonly Pod[], address, records);
    else if (claim !== undefined) this.#peers.collect(claim as Pod, address, records);
    if (this.#memberships.put(address, records)) this.#changes.addresses.add(address);
    this.#noteConflict(address, Array.isArray(claim) ? (claim as readonly Pod[]) : []);
  }

  /**
   * While several active pods claim an address, as when one hands it over to the next and their objects come
   * in any order, it is only in the sets that all of them are in: sets only ever admit, so this errs on the
   * closed side; and it needs no clock to say whose claim is newer, so every order of events ends the same.
   */
  #collectCommon(pods: readonly Pod[], address: Address, into: SetRecord[]): void {
    const perPod = pods.map((pod) => {
      const records: SetRecord[] = [];
      this.#peers.collect(pod, address, records);
      return new Set(records);
    });
    for (const record of perPod.reduce((common, records) => common.intersection(records))) into.push(record);
  }

  #noteConflict(address: Address, claimants: readonly Pod[]): void {
    const local = claimants.filter((pod) => this.#isHere(pod));
    const wanted = local.length > 1 ? local.map(keyOf).sort() : undefined;
    const before = this.#conflicts.get(address);
    if (wanted === undefined && before === undefined) return;
    if (isDeepStrictEqual(wanted, before)) return;
    if (wanted === undefined) this.#conflicts.delete(address);
    else this.#conflicts.set(address, wanted);
    for (const key of [...(before ?? []), ...(wanted ?? [])]) this.#changes.endpoints.add(key);
  }

  /** Records of deleted objects are kept up to here, so that one deleted and made again in one step stays one record. */
  #sweep(): void {
    for (const { key, policy } of this.#dirtyPolicies) {
      const [namespace, name] = splitKey(key);
      if (policy === undefined) this.#namespaces.get(namespace)?.policies.delete(name);
    }
    for (const { key, pod } of this.#dirtyLocals) {
      const [namespace, name] = splitKey(key);
      if (pod === undefined) this.#namespaces.get(namespace)?.locals.delete(name);
    }
    for (const namespace of this.#dirtyNamespaces) this.#namespaces.sweep(namespace);
    this.#dirtyAddresses.clear();
    this.#dirtyLocals.clear();
    this.#dirtyPolicies.clear();
    this.#dirtyNamespaces.clear();
  }
}

function splitKey(key: ObjectKey): [namespace: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}
