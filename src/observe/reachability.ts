/** The objects of a whole cluster → the verdict on any query, in each direction with its reason, by the compiled state. */
import { Compiler } from '../compile/compiler.ts';
import type { Address } from '../model/address.ts';
import { type ClusterObject, type Direction, keyOf, type NetworkPolicy, type ObjectKey } from '../model/cluster.ts';
import type { CompiledState, Endpoint } from '../model/compiled.ts';
import { type AnyQuery, commonFamilies, type End, endText, QueryError } from '../model/query.ts';
import { type DirectionVerdict, judge, type Question, type Reason } from '../model/verdict.ts';
import { addressIn, type Place, Places } from './places.ts';

/** `conflict`: several pods of one node claim the pod's address, and none of them may use the network. */
export interface Judgement extends Omit<DirectionVerdict, 'reason'> {
  readonly reason: Reason | 'conflict';
  /** With the reason `conflict`: the address and its claimants. */
  readonly conflict?: { readonly address: Address; readonly pods: readonly ObjectKey[] };
}

export interface Answer {
  readonly query: AnyQuery;
  readonly family: 'IPv4' | 'IPv6';
  readonly source: Place;
  readonly destination: Place;
  readonly sourceAddress: Address;
  readonly destinationAddress: Address;
  readonly allowed: boolean;
  /** Of the source; absent when that is no pod: policies isolate only pods. */
  readonly egress?: Judgement;
  /** Of the destination, as above. */
  readonly ingress?: Judgement;
}

export interface ReachabilityOptions {
  readonly judged?: readonly ClusterObject[];
  readonly judgesOwnNode?: boolean;
}

export class Reachability {
  readonly places: Places;
  readonly #judgesOwnNode: boolean;
  readonly #compiler = new Compiler({});
  readonly #policies = new Map<ObjectKey, NetworkPolicy>();
  readonly #conflicts = new Map<ObjectKey, NonNullable<Judgement['conflict']>>();

  /**
   * @param objects with every pod on a node and addresses wherever there are any, as readManifests gives them
   * @param judged of these, what verdicts are asked about, see `narrowed`; by default all
   * @param judgesOwnNode as in the data plane's options
   */
  constructor(
    objects: readonly ClusterObject[],
    { judged = objects, judgesOwnNode = false }: ReachabilityOptions = {},
  ) {
    this.#judgesOwnNode = judgesOwnNode;
    this.places = new Places(objects);
    this.#compiler.apply(judged.map((object) => ({ type: 'upsert', object })));
    for (const object of objects) if (object.kind === 'NetworkPolicy') this.#policies.set(keyOf(object), object);
    this.#findConflicts(objects);
  }

  get state(): CompiledState {
    return this.#compiler.state;
  }

  get policies(): ReadonlyMap<ObjectKey, NetworkPolicy> {
    return this.#policies;
  }

  /** @throws {QueryError} an end cannot be found, or the two have no family in common */
  ask(query: AnyQuery): Answer {
    const source = this.places.find(query.from);
    const destination = this.places.find(query.to);
    const family = familyFor(query, source, destination);
    const sourceAddress = addressIn(source, family) as Address;
    const destinationAddress = addressIn(destination, family) as Address;
    const ends = { source: sourceAddress, destination: destinationAddress };
    const { protocol, port } = query;
    const question: Question =
      port === undefined ? { ...ends, protocol: 'other', port: 0 } : { ...ends, protocol, port };
    const egress = this.#judge('egress', source, destination, question);
    const ingress = this.#judge('ingress', destination, source, question);
    return {
      query,
      family,
      source,
      destination,
      sourceAddress,
      destinationAddress,
      allowed: egress?.allowed !== false && ingress?.allowed !== false,
      ...(egress && { egress }),
      ...(ingress && { ingress }),
    };
  }

  #judge(direction: Direction, place: Place, peer: Place, question: Question): Judgement | undefined {
    if (place.kind !== 'pod') return undefined;
    const endpoint = this.state.endpoints.get(place.key) as Endpoint;
    const spared = direction === 'ingress' || !this.#judgesOwnNode;
    const ownAddresses = spared ? this.places.addressesOf(place.pod.node) : undefined;
    const verdict = judge(this.state, endpoint, direction, { ...question, ...(ownAddresses && { ownAddresses }) });
    // "A pod cannot block access to itself": such packets never leave it.
    if (peer.kind === 'pod' && peer.key === place.key) {
      return { allowed: true, reason: 'self', isolatedBy: verdict.isolatedBy };
    }
    const conflict = this.#conflicts.get(place.key);
    return conflict ? { allowed: false, reason: 'conflict', isolatedBy: verdict.isolatedBy, conflict } : verdict;
  }

  /** The compiler was asked about all nodes as one; on two nodes an address has two interfaces, each with one claimant. */
  #findConflicts(objects: readonly ClusterObject[]): void {
    if (this.#compiler.conflicts.size === 0) return;
    const nodes = new Map(objects.flatMap((object) => (object.kind === 'Pod' ? [[keyOf(object), object.node]] : [])));
    for (const [address, claimants] of this.#compiler.conflicts) {
      for (const [, pods] of Map.groupBy(claimants, (pod) => nodes.get(pod))) {
        if (pods.length > 1) for (const pod of pods) this.#conflicts.set(pod, { address, pods });
      }
    }
  }
}

/** That of the query, else IPv4 where both ends have it; an end that is an address has only its own. */
function familyFor(query: AnyQuery, source: Place, destination: Place): 'IPv4' | 'IPv6' {
  const common = commonFamilies(source.addresses, destination.addresses);
  const [first] = common;
  if (query.family !== undefined && common.includes(query.family)) return query.family;
  if (query.family === undefined && first !== undefined) return first;
  const end = (one: End, { addresses }: Place) => `${endText(one)} (${addresses.join(', ')})`;
  const ends = `${end(query.from, source)} and ${end(query.to, destination)}`;
  throw new QueryError(query.family ? `${ends} do not both have ${query.family}` : `${ends} have no family in common`);
}
