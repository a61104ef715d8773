/**
 * The oracle: may this packet open a connection, by the text of the NetworkPolicy API (networking.k8s.io/v1)? It reads
 * plain manifests and answers one question at a time, in the plainest way that the text allows, and shares nothing with
 * the product that it judges. The text of each rule stands above the branch that implements it.
 *
 * It assumes objects that the API server accepts, and addresses that at most one live pod holds.
 */
import { type Family, parseAddress } from './addresses.ts';
import { type Cluster, type End, nameOf, readCluster } from './cluster.ts';
import type { ClusterObject, PolicyType } from './objects.ts';
import { peersMatch, policyTypesOf, portsMatch, rulesOf, selects, type Traffic } from './rules.ts';

export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | number;

/** Ends are `namespace/name` of a pod, or an address. ICMP means ICMPv6 when the family is IPv6. */
export interface Question {
  readonly from: string;
  readonly to: string;
  readonly family: Family;
  readonly protocol: Protocol;
  /** The destination port of TCP, UDP and SCTP. */
  readonly port?: number;
}

export interface RuleReference {
  /** `namespace/name` of the policy */
  readonly policy: string;
  /** Index in its `ingress` or `egress` list. */
  readonly rule: number;
}

export interface DirectionVerdict {
  readonly allowed: boolean;
  /** The policies that isolate the judged pod in this direction, `namespace/name`; none: not isolated. */
  readonly isolatedBy: readonly string[];
  /** Every rule that admits it; a product may name any of them. */
  readonly admittedBy: readonly RuleReference[];
}

export interface Verdict {
  readonly allowed: boolean;
  /** Why it passes whatever policies say. */
  readonly exempt?: 'self' | 'own-node';
  readonly egress: DirectionVerdict;
  readonly ingress: DirectionVerdict;
}

/** `no-address`: an end has no address of the question's family, so there is nothing to judge. */
export type Answer = Verdict | 'no-address';

export interface Oracle {
  /** Throws when a pod that the question names does not exist. */
  judge(question: Question): Answer;
}

export function oracleFor(objects: readonly ClusterObject[]): Oracle {
  const cluster = readCluster(objects);
  return { judge: (question) => judgeIn(cluster, question) };
}

/** One question about one state. For many questions about the same state, `oracleFor` reads it only once. */
export function judge(objects: readonly ClusterObject[], question: Question): Answer {
  return oracleFor(objects).judge(question);
}

/** The family of an end that is an address; pods may have both. */
export function familyOf(subject: string): Family | undefined {
  return subject.includes('/') ? undefined : parseAddress(subject).family;
}

function judgeIn(cluster: Cluster, question: Question): Answer {
  const from = cluster.end(question.from, question.family);
  const to = cluster.end(question.to, question.family);
  if (from === undefined || to === undefined) return 'no-address';
  const flow: Flow = { from, to, traffic: trafficOf(question) };
  const exempt = exemptionOf(flow);
  const egress = directionVerdict(cluster, flow, 'Egress', exempt !== undefined);
  const ingress = directionVerdict(cluster, flow, 'Ingress', exempt !== undefined);
  // "For a connection from a source pod to a destination pod to be allowed, both the egress policy on the source pod and
  // the ingress policy on the destination pod need to allow the connection."
  const allowed = egress.allowed && ingress.allowed;
  return exempt === undefined ? { allowed, egress, ingress } : { allowed, exempt, egress, ingress };
}

interface Flow {
  readonly from: End;
  readonly to: End;
  readonly traffic: Traffic;
}

function exemptionOf({ from, to }: Flow): 'self' | 'own-node' | undefined {
  // "a pod cannot block access to itself"
  if (from.pod !== undefined && from.pod === to.pod) return 'self';
  // "traffic to and from the node where a Pod is running is always allowed, regardless of the IP address of the Pod or
  // the node". Another node is an address like any other.
  const visits = (pod: End, node: End) => node.node !== undefined && pod.pod?.spec.nodeName === node.node;
  return visits(from, to) || visits(to, from) ? 'own-node' : undefined;
}

function directionVerdict(cluster: Cluster, flow: Flow, type: PolicyType, exempt: boolean): DirectionVerdict {
  const [judged, peer] = type === 'Egress' ? [flow.from, flow.to] : [flow.to, flow.from];
  const { pod } = judged;
  // Policies select pods; an address outside and a node, with its hostNetwork pods, are isolated by none.
  if (pod === undefined) return { allowed: true, isolatedBy: [], admittedBy: [] };
  const isolating = cluster.policies.filter((policy) => selects(policy, pod) && policyTypesOf(policy).includes(type));
  // "The traffic must match both ports and from." (and, for egress, "both ports and to")
  const admittedBy = isolating.flatMap((policy) =>
    rulesOf(policy, type).flatMap(({ ports, peers }, rule) =>
      peersMatch(peers, peer, policy, cluster) && portsMatch(ports, flow.traffic, flow.to)
        ? [{ policy: nameOf(policy), rule }]
        : [],
    ),
  );
  // "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod […], OR if the traffic source is the
  // pod's local node, OR if the traffic matches at least one ingress rule across all of the NetworkPolicy objects whose
  // podSelector matches the pod."
  const allowed = exempt || isolating.length === 0 || admittedBy.length > 0;
  return { allowed, isolatedBy: isolating.map(nameOf), admittedBy };
}

function trafficOf({ protocol, port, family }: Question): Traffic {
  const number = protocolNumber(protocol, family);
  if (number !== 6 && number !== 17 && number !== 132) return { protocol: number };
  if (port === undefined) throw new Error(`a question about ${protocol} needs a port`);
  return { protocol: number, port };
}

function protocolNumber(protocol: Protocol, family: Family): number {
  if (typeof protocol === 'number') return protocol;
  if (protocol === 'ICMP') return family === 'IPv4' ? 1 : 58;
  return { TCP: 6, UDP: 17, SCTP: 132 }[protocol];
}
