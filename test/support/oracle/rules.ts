/** The parts of one policy: whom it isolates, which peers and which ports a rule of it admits. */
import { contains, parseBlock } from './addresses.ts';
import { type Cluster, type End, namespaceOf } from './cluster.ts';
import type {
  ContainerPort,
  IpBlock,
  LabelSelector,
  NetworkPolicy,
  Peer,
  Pod,
  PolicyPort,
  PolicyType,
} from './objects.ts';
import { selectorMatches } from './selectors.ts';

/** What travels: a protocol by its IANA number and, for TCP, UDP and SCTP, a destination port. */
export interface Traffic {
  readonly protocol: number;
  readonly port?: number;
}

/** A rule with `from` and `to` brought under one name. */
export interface Rule {
  readonly ports: readonly PolicyPort[];
  readonly peers: readonly Peer[];
}

const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/**
 * "podSelector selects the pods to which this NetworkPolicy object applies. […] An empty selector matches all pods in
 * the policy's namespace. […] This field is optional. If it is not specified, it defaults to an empty selector."
 */
export function selects(policy: NetworkPolicy, pod: Pod): boolean {
  if (namespaceOf(policy) !== namespaceOf(pod)) return false;
  return selectorMatches(policy.spec?.podSelector ?? {}, pod.metadata.labels ?? {});
}

/**
 * "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
 * contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
 * section) are assumed to affect ingress."
 *
 * The API server applies this when it stores the object: an empty list counts as "not specified", and an egress
 * section counts only with at least one rule in it (`egress: []` is dropped from the stored object like null).
 */
export function policyTypesOf(policy: NetworkPolicy): readonly PolicyType[] {
  const { policyTypes, egress } = policy.spec ?? {};
  if (policyTypes != null && policyTypes.length > 0) return policyTypes;
  return (egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

/** `[]`, null and absent are alike: no rule, which admits nothing. Only a rule, were it `{}`, admits. */
export function rulesOf(policy: NetworkPolicy, type: PolicyType): Rule[] {
  const { ingress, egress } = policy.spec ?? {};
  if (type === 'Ingress') {
    return (ingress ?? []).map((rule) => ({ ports: rule.ports ?? [], peers: rule.from ?? [] }));
  }
  return (egress ?? []).map((rule) => ({ ports: rule.ports ?? [], peers: rule.to ?? [] }));
}

/**
 * "Items in this list are combined using a logical OR operation. If this field is empty or missing, this rule matches
 * all sources (traffic not restricted by source)." The same for destinations. All means pods, nodes and the world.
 */
export function peersMatch(peers: readonly Peer[], peer: End, policy: NetworkPolicy, cluster: Cluster): boolean {
  return peers.length === 0 || peers.some((item) => peerMatches(item, peer, policy, cluster));
}

function peerMatches(item: Peer, peer: End, policy: NetworkPolicy, cluster: Cluster): boolean {
  // "ipBlock defines policy on a particular IPBlock. If this field is set then neither of the other fields can be."
  if (item.ipBlock != null) return ipBlockMatches(item.ipBlock, peer);
  // Selectors select pods. An address outside, a node's, and so a hostNetwork pod's, is none of theirs.
  if (peer.pod === undefined) return false;
  return (
    namespaceMatches(item.namespaceSelector, peer.pod, policy, cluster) &&
    // "Otherwise it selects all pods in the namespaces selected by namespaceSelector."
    selectorMatches(item.podSelector ?? {}, peer.pod.metadata.labels ?? {})
  );
}

/**
 * "If namespaceSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching podSelector in
 * the Namespaces selected by NamespaceSelector. Otherwise it selects the pods matching podSelector in the policy's own
 * namespace." "[…] if present but empty, it selects all namespaces."
 */
function namespaceMatches(
  selector: LabelSelector | null | undefined,
  pod: Pod,
  policy: NetworkPolicy,
  cluster: Cluster,
): boolean {
  if (selector == null) return namespaceOf(pod) === namespaceOf(policy);
  return selectorMatches(selector, cluster.namespaceLabels(namespaceOf(pod)));
}

/**
 * "IPBlock describes a particular CIDR that is allowed to the pods matched by a NetworkPolicySpec's podSelector. The
 * except entry describes CIDRs that should not be included within this rule." It speaks of addresses only, so it is
 * all the same whether a pod, a node or nobody of the cluster holds the address.
 */
function ipBlockMatches({ cidr, except }: IpBlock, peer: End): boolean {
  return (
    contains(parseBlock(cidr), peer.address) &&
    !(except ?? []).some((inner) => contains(parseBlock(inner), peer.address))
  );
}

/**
 * "If this field is empty or missing, this rule matches all ports (traffic not restricted by port). If this field is
 * present and contains at least one item, then this rule allows traffic only if the traffic matches at least one port
 * in the list." Not restricted by port includes what has no ports: every IP protocol.
 */
export function portsMatch(ports: readonly PolicyPort[], traffic: Traffic, destination: End): boolean {
  return ports.length === 0 || ports.some((item) => portMatches(item, traffic, destination));
}

function portMatches(item: PolicyPort, traffic: Traffic, destination: End): boolean {
  // "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field
  // defaults to TCP."
  const protocol = item.protocol ?? 'TCP';
  if (PROTOCOL_NUMBERS[protocol] !== traffic.protocol || traffic.port === undefined) return false;
  // "If this field is not provided, this matches all port names and numbers."
  if (item.port == null) return true;
  // "This can either be a numerical or named port on a pod." Traffic has one destination, so in egress too the name is
  // the destination's: each pod gives it its own number. An address that no pod holds has no names.
  if (typeof item.port === 'string') {
    const { pod } = destination;
    return pod !== undefined && numbersOf(pod, item.port, protocol).includes(traffic.port);
  }
  // "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed".
  return traffic.port >= item.port && traffic.port <= (item.endPort ?? item.port);
}

/**
 * "only traffic on the specified protocol AND port will be matched": a container port counts when name and protocol are
 * those asked for. Each container may use the name for another number; then the name means all of them.
 */
function numbersOf(pod: Pod, name: string, protocol: string): number[] {
  return containerPorts(pod)
    .filter((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)
    .map(({ containerPort }) => containerPort);
}

/** Of the init containers only sidecars (restartPolicy Always) run together with the pod's containers. */
function containerPorts(pod: Pod): ContainerPort[] {
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...pod.spec.containers, ...sidecars].flatMap(({ ports }) => ports ?? []);
}
