/**
 * The compiled state's own judgement: from one node's state and a question about two ends, the verdict and
 * its reason. Pure and slow beside a data plane, it is what every data plane must agree with.
 */
import { type Address, addressBytes } from './address.ts';
import { Block } from './block.ts';
import type { Direction, ObjectKey, Protocol } from './cluster.ts';
import type { CompiledRule, CompiledState, Endpoint, IpSet, PortRange, RuleRef, SetId } from './compiled.ts';

/** May a new connection be opened? */
export interface Question {
  readonly source: Address;
  readonly destination: Address;
  /** `other`: ICMP and all other IP protocols, which have no ports. */
  readonly protocol: Protocol | 'other';
  /** Of the destination; not looked at for `other`. */
  readonly port: number;
  /** The pods at the two ends when they are known; else an end is the local endpoint that has the address. */
  readonly sourcePod?: ObjectKey;
  readonly destinationPod?: ObjectKey;
  /** Addresses of the node whose state this is. */
  readonly ownAddresses?: ReadonlySet<Address>;
}

/**
 * Why: `self` and `own node` are always admitted, `not isolated` is under no policy; else a `rule` admitted it,
 * or there was `no rule` to.
 */
export type Reason = 'self' | 'own node' | 'not isolated' | 'rule' | 'no rule';

export interface DirectionVerdict {
  readonly allowed: boolean;
  readonly reason: Reason;
  /** With the reason `rule`: the first that admits. */
  readonly by?: RuleRef;
  /** The policies that isolate the pod in this direction, sorted. */
  readonly isolatedBy: readonly ObjectKey[];
}

/** A direction is absent when its pod is not an endpoint of this state: another node judges it. */
export interface Verdict {
  readonly allowed: boolean;
  readonly egress?: DirectionVerdict;
  readonly ingress?: DirectionVerdict;
}

/** Judges the egress of the source and the ingress of the destination, as far as they are endpoints of this state. */
export function verdictOf(state: CompiledState, question: Question): Verdict {
  const source = endpointAt(state, question.source, question.sourcePod);
  const destination = endpointAt(state, question.destination, question.destinationPod);
  const self = source !== undefined && source === destination;
  const egress = source && (self ? selfVerdict(state, source, 'egress') : judge(state, source, 'egress', question));
  const ingress =
    destination && (self ? selfVerdict(state, destination, 'ingress') : judge(state, destination, 'ingress', question));
  return {
    allowed: egress?.allowed !== false && ingress?.allowed !== false,
    ...(egress && { egress }),
    ...(ingress && { ingress }),
  };
}

/** Judges one direction of one endpoint: ingress looks for the question's source, egress for its destination. */
export function judge(
  state: CompiledState,
  endpoint: Endpoint,
  direction: Direction,
  question: Question,
): DirectionVerdict {
  const isolatedBy = isolating(state, endpoint, direction);
  const address = direction === 'ingress' ? question.source : question.destination;
  // "Traffic to and from the node where a Pod is running is always allowed, regardless of the IP address of the Pod or the node."
  if (question.ownAddresses?.has(address)) return { allowed: true, reason: 'own node', isolatedBy };
  const id = endpoint[direction];
  if (id === undefined) return { allowed: true, reason: 'not isolated', isolatedBy };
  const peer = peerAt(state, address);
  const rule = state.rulesets.get(id)?.rules.find((rule) => admits(state, rule, peer, question));
  if (rule === undefined) return { allowed: false, reason: 'no rule', isolatedBy };
  return { allowed: true, reason: 'rule', by: rule.ref, isolatedBy };
}

/** An address with what is asked of it over and over, looked up and taken apart once. */
interface PeerAddress {
  readonly bytes: Uint8Array;
  readonly memberships: ReadonlySet<SetId> | undefined;
}

function peerAt(state: CompiledState, address: Address): PeerAddress {
  return { bytes: addressBytes(address), memberships: state.memberships.get(address) };
}

function admits(state: CompiledState, rule: CompiledRule, peer: PeerAddress, question: Question): boolean {
  if (rule.ports !== 'every' && !rule.ports.some((range) => inRange(range, question))) return false;
  return rule.peers === 'anyone' || rule.peers.some((id) => holds(state, id, peer));
}

function holds(state: CompiledState, id: SetId, peer: PeerAddress): boolean {
  const set = state.sets.get(id);
  if (set === undefined) return false;
  return set.kind === 'ipBlock' ? blockOf(set).holdsBytes(peer.bytes) : peer.memberships?.has(id) === true;
}

function inRange({ protocol, from, to }: PortRange, question: Question): boolean {
  return protocol === question.protocol && from <= question.port && question.port <= to;
}

function selfVerdict(state: CompiledState, endpoint: Endpoint, direction: Direction): DirectionVerdict {
  return { allowed: true, reason: 'self', isolatedBy: isolating(state, endpoint, direction) };
}

function isolating(state: CompiledState, endpoint: Endpoint, direction: Direction): readonly ObjectKey[] {
  const id = endpoint[direction];
  return id === undefined ? [] : (state.rulesets.get(id)?.policies ?? []);
}

function endpointAt(state: CompiledState, address: Address, pod: ObjectKey | undefined): Endpoint | undefined {
  if (pod !== undefined) return state.endpoints.get(pod);
  for (const endpoint of state.endpoints.values()) if (endpoint.addresses.includes(address)) return endpoint;
  return undefined;
}

// Each set's block is taken apart once, and forgotten with the set.
const blocks = new WeakMap<IpSet, Block>();

function blockOf(set: IpSet & { kind: 'ipBlock' }): Block {
  let block = blocks.get(set);
  if (block === undefined) {
    block = new Block(set.cidr, set.except);
    blocks.set(set, block);
  }
  return block;
}
