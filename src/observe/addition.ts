/**
 * A denied query → the smallest NetworkPolicy objects that admit it: one for each direction that denies, selecting no pod
 * that is not isolated in that direction already, with one peer and one port; for ICMP, which has none, every port.
 */
import { bitsOf, familyOf } from '../model/address.ts';
import { type Direction, keyOf, type Labels, type NetworkPolicy, type Pod, type Selector } from '../model/cluster.ts';
import { matches } from '../model/selector.ts';
import type { Place } from './places.ts';
import type { Answer, Reachability } from './reachability.ts';

/** As it is written in a manifest. */
export interface PolicyManifest {
  readonly apiVersion: 'networking.k8s.io/v1';
  readonly kind: 'NetworkPolicy';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
}

interface SelectorManifest {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly object[];
}

/** None when the query is allowed, or when no policy could admit it: the pods' addresses are in conflict. */
export function additionsFor(reachability: Reachability, answer: Answer): PolicyManifest[] {
  if ([answer.egress, answer.ingress].some((judgement) => judgement?.reason === 'conflict')) return [];
  return (['egress', 'ingress'] as const)
    .filter((direction) => answer[direction]?.allowed === false)
    .map((direction) => additionFor(reachability, answer, direction));
}

function additionFor(reachability: Reachability, answer: Answer, direction: Direction): PolicyManifest {
  const ingress = direction === 'ingress';
  const [own, peer] = ingress ? [answer.destination, answer.source] : [answer.source, answer.destination];
  if (own.kind !== 'pod') throw new Error(`${direction} is judged of pods only`);
  const { namespace } = own.pod;
  const { port, protocol } = answer.query;
  const peers = [peerFor(reachability, peer, namespace) ?? blockFor(answer, direction)];
  // "This rule matches all ports": no other rule admits a protocol that has none.
  const ports = port === undefined ? {} : { ports: [{ protocol, port }] };
  const rule = { [ingress ? 'from' : 'to']: peers, ...ports };
  const traffic = port === undefined ? [protocol.toLowerCase()] : [port, protocol.toLowerCase()];
  const words = [own.pod.name, ingress ? 'from' : 'to', ...wordsFor(peer, namespace), ...traffic];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: freeName(reachability, namespace, words.join('-')), namespace },
    spec: {
      podSelector: selectorFor(reachability, own.pod, direction),
      policyTypes: [ingress ? 'Ingress' : 'Egress'],
      [direction]: [rule],
    },
  };
}

/** The pod's own labels, unless they also select a pod that nothing isolates; a policy that isolates it selects no such pod. */
function selectorFor(reachability: Reachability, pod: Pod, direction: Direction): SelectorManifest {
  const policies = [...reachability.policies.values()].filter(
    ({ namespace, policyTypes }) => namespace === pod.namespace && policyTypes.includes(direction),
  );
  const others = podsOf(reachability, pod.namespace);
  const labels = lastingLabels(pod.labels);
  const labelled = Object.keys(labels).length > 0;
  const alike = others.filter((other) => matches(selectorOf(labels), other.labels));
  const isolated = (other: Pod) => policies.some(({ podSelector }) => matches(podSelector, other.labels));
  if (labelled && alike.every(isolated)) return { matchLabels: labels };
  const size = ({ podSelector }: NetworkPolicy) => others.filter(({ labels }) => matches(podSelector, labels)).length;
  const [narrowest] = policies
    .filter(({ podSelector }) => matches(podSelector, pod.labels))
    .sort((a, b) => size(a) - size(b));
  return selectorManifest((narrowest as NetworkPolicy).podSelector);
}

/** undefined where a selector would not mean the peer, or nearly everybody beside it. */
function peerFor(reachability: Reachability, peer: Place, namespace: string): object | undefined {
  if (peer.kind !== 'pod' || reachability.places.isContested(peer.pod)) return undefined;
  const { pod } = peer;
  const labels = lastingLabels(pod.labels);
  const labelled = Object.keys(labels).length > 0;
  if (!labelled && podsOf(reachability, pod.namespace).length > 1) return undefined;
  return {
    ...(pod.namespace !== namespace && {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': pod.namespace } },
    }),
    podSelector: labelled ? { matchLabels: labels } : {},
  };
}

function blockFor({ sourceAddress, destinationAddress }: Answer, direction: Direction): object {
  const address = direction === 'ingress' ? sourceAddress : destinationAddress;
  return { ipBlock: { cidr: `${address}/${bitsOf(familyOf(address))}` } };
}

function podsOf(reachability: Reachability, namespace: string): Pod[] {
  return reachability.places.selectable.filter((pod) => pod.namespace === namespace);
}

/** Without those that the next rollout changes, unless there are no others. */
function lastingLabels(labels: Labels): Labels {
  const lasting = Object.entries(labels).filter(([key]) => !VOLATILE.has(key));
  return lasting.length > 0 ? Object.fromEntries(lasting) : labels;
}

const VOLATILE: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
]);

function selectorOf(labels: Labels): Selector {
  return { requirements: Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] })) };
}

function selectorManifest({ requirements }: Selector): SelectorManifest {
  const matchLabels: Record<string, string> = {};
  const matchExpressions: object[] = [];
  for (const requirement of requirements) {
    const [value, second] = requirement.operator === 'In' ? requirement.values : [];
    if (value === undefined || second !== undefined || Object.hasOwn(matchLabels, requirement.key)) {
      matchExpressions.push(requirement);
    } else matchLabels[requirement.key] = value;
  }
  return {
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
    ...(matchExpressions.length > 0 && { matchExpressions }),
  };
}

function wordsFor(peer: Place, namespace: string): string[] {
  if (peer.kind === 'pod')
    return peer.pod.namespace === namespace ? [peer.pod.name] : [peer.pod.namespace, peer.pod.name];
  return peer.kind === 'node' ? [peer.node] : [peer.addresses[0] ?? ''];
}

/** A name that no policy of the namespace has: applied as it is, the addition must replace nothing. */
function freeName({ policies }: Reachability, namespace: string, wanted: string): string {
  const base = wanted.replaceAll(/[^a-z0-9]+/g, '-').slice(0, 240);
  const taken = (name: string) => policies.has(keyOf({ kind: 'NetworkPolicy', namespace, name } as NetworkPolicy));
  let name = base;
  for (let next = 2; taken(name); next++) name = `${base}-${next}`;
  return name;
}
