/**
 * The cluster that every engine plays: a few pods on two nodes, and N policies that all select the server and its clients.
 * Each admits peers of its own to a port of its own; only the last admits the clients, so that it is the one that decides.
 */
import type { Address } from '../../model/address.ts';
import type { ClusterObject, Direction, ObjectKey, Protocol } from '../../model/cluster.ts';
import { parseObject } from '../../sources/parse/object.ts';
import type { Topology, Traffic } from './contract.ts';

export const NAMESPACE = 'bench';
/** A node that the lab does not play: the peers of all policies but the last are there. */
const ELSEWHERE = 'elsewhere';

/** `selected`: under every policy. Strangers are admitted by none. `other` is under policies of its own, where there are any. */
const PODS = {
  server: { node: 1, selected: true },
  client: { node: 1, selected: true },
  'far-client': { node: 2, selected: true },
  stranger: { node: 1, selected: false },
  'far-stranger': { node: 2, selected: false },
  'free-server': { node: 1, selected: false },
  'free-client': { node: 1, selected: false },
  'free-far-client': { node: 2, selected: false },
  other: { node: 1, selected: false },
} as const satisfies Record<string, { node: 1 | 2; selected: boolean }>;
export type PodName = keyof typeof PODS;
export const POD_NAMES = Object.keys(PODS) as readonly PodName[];
export const NODES = ['node1', 'node2'] as const;
export type NodeName = (typeof NODES)[number];

/** Who asks whom. */
const ENDS: Readonly<Record<Traffic, Readonly<Record<Topology | 'server', PodName>>>> = {
  allowed: { 'one-node': 'client', 'two-nodes': 'far-client', server: 'server' },
  denied: { 'one-node': 'stranger', 'two-nodes': 'far-stranger', server: 'server' },
  unselected: { 'one-node': 'free-client', 'two-nodes': 'free-far-client', server: 'free-server' },
};

export function endsOf(topology: Topology, traffic: Traffic): { readonly client: PodName; readonly server: PodName } {
  const ends = ENDS[traffic];
  return { client: ends[topology], server: ends.server };
}

export function keyOfPod(name: PodName): ObjectKey {
  return `${NAMESPACE}/${name}` as ObjectKey;
}

export function nodeOfPod(name: PodName): NodeName {
  return NODES[PODS[name].node - 1] as NodeName;
}

export function isSelected(name: PodName): boolean {
  return PODS[name].selected;
}

export function addressOfPod(name: PodName): Address {
  return `10.244.${PODS[name].node}.${10 + POD_NAMES.indexOf(name)}` as Address;
}

/** Ports that loads use are between these, TCP and UDP. */
export const LOAD_PORTS = { from: 5_200, to: 5_299 } as const;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP'];

export interface PortRange {
  readonly protocol: Protocol;
  readonly from: number;
  readonly to: number;
}

/** One rule in each direction: who is admitted, by the value of the label `role`, and on which ports. */
export interface PlannedPolicy {
  readonly name: string;
  readonly peers: Readonly<Record<Direction, string>>;
  readonly ports: readonly PortRange[];
}

export function* plannedPolicies(count: number): Generator<PlannedPolicy> {
  for (let index = 0; index < count - 1; index++) {
    const role = `peer-${index}`;
    const port = 10_000 + index;
    yield {
      name: `policy-${index}`,
      peers: { ingress: role, egress: role },
      ports: [{ protocol: 'TCP', from: port, to: port }],
    };
  }
  if (count === 0) return;
  const ports = PROTOCOLS.map((protocol) => ({ protocol, ...LOAD_PORTS }));
  yield { name: 'policy-last', peers: { ingress: 'client', egress: 'server' }, ports };
}

/** Addresses of the pods that bear a role. */
export function addressesOf(role: string): readonly Address[] {
  const [, index] = /^peer-(\d+)$/.exec(role) ?? [];
  if (index !== undefined) return [peerAddress(Number(index))];
  return POD_NAMES.filter((name) => roleOf(name) === role).map(addressOfPod);
}

/** As the API server would give it. */
export type Manifest = Readonly<Record<string, unknown>> & { readonly kind: string };

/** Nodes, namespace and the pods that the lab plays. */
export function baseManifests(): readonly Manifest[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    ...NODES.map((name, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec: { podCIDRs: [`10.244.${index + 1}.0/24`] },
      status: { addresses: [{ type: 'InternalIP', address: `172.30.0.${index + 2}` }] },
    })),
    ...POD_NAMES.map((name) => podManifest(name)),
  ];
}

/** @param labels in addition to what it has */
export function podManifest(name: PodName, labels: Readonly<Record<string, string>> = {}): Manifest {
  const own = { role: roleOf(name), ...(isSelected(name) && { under: 'all' }) };
  return pod({ name, labels: { ...own, ...labels }, node: nodeOfPod(name), address: addressOfPod(name) });
}

/** Whom the policies but the last admit: pods that exist, so that no engine can leave a policy out. */
export function peerManifests(policies: number): readonly Manifest[] {
  return Array.from({ length: Math.max(0, policies - 1) }, (_, index) => {
    const labels = { role: `peer-${index}` };
    return pod({ name: `peer-${index}`, labels, node: ELSEWHERE, address: peerAddress(index) });
  });
}

export function policyManifests(count: number): readonly Manifest[] {
  return [...plannedPolicies(count)].map(({ name, peers, ports }) => {
    const admitted = ports.map(portOf);
    return policy(name, {
      podSelector: { matchLabels: { under: 'all' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [withRole(peers.ingress)], ports: admitted }],
      egress: [{ to: [withRole(peers.egress)], ports: admitted }],
    });
  });
}

/** Admits those on the way to the server that bear a role, on top of all other policies. */
export function admission(name: string, role: string): Manifest {
  return ingressPolicy(name, 'server', role);
}

/** The first policy of a pod that is under none: it admits nobody who is there. */
export function isolation(name: string): Manifest {
  return ingressPolicy(name, 'free-server', 'nobody');
}

function ingressPolicy(name: string, selected: string, admitted: string): Manifest {
  return policy(name, {
    podSelector: { matchLabels: { role: selected } },
    policyTypes: ['Ingress'],
    ingress: [{ from: [withRole(admitted)], ports: PROTOCOLS.map((protocol) => portOf({ protocol, ...LOAD_PORTS })) }],
  });
}

/** Pods that come into and leave the sets of a policy that is of no concern to server and clients. */
export const BUSY_POLICY: Manifest = policy('busy', {
  podSelector: { matchLabels: { role: 'other' } },
  policyTypes: ['Ingress'],
  ingress: [{ from: [withRole('busy')] }],
});

export function busyPod(index: number, admitted: boolean): Manifest {
  const labels = { role: admitted ? 'busy' : 'idle' };
  return pod({ name: `busy-${index}`, labels, node: ELSEWHERE, address: `10.254.0.${index + 1}` });
}

/** @throws Error what is not valid: nothing here may be left out silently */
export function objectOf(manifest: Manifest): ClusterObject {
  const { parsed, warnings } = parseObject(manifest);
  if ((parsed.type === 'object' || parsed.type === 'pod') && warnings.length === 0) return parsed.object;
  throw new Error(`a manifest of the benchmark is not valid: ${JSON.stringify({ manifest, warnings })}`);
}

function roleOf(name: PodName): string {
  return name === 'far-client' ? 'client' : name;
}

function peerAddress(index: number): Address {
  return `10.${245 + (index >> 14)}.${(index >> 7) & 127}.${1 + (index & 127)}` as Address;
}

function pod(of: { name: string; labels: Readonly<Record<string, string>>; node: string; address: string }): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: of.name, namespace: NAMESPACE, labels: of.labels },
    spec: { nodeName: of.node, containers: [{ name: 'main' }] },
    status: { phase: 'Running', podIPs: [{ ip: of.address }] },
  };
}

function policy(name: string, spec: Readonly<Record<string, unknown>>): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: NAMESPACE },
    spec,
  };
}

function portOf({ protocol, from, to }: PortRange) {
  return { protocol, port: from, ...(to > from && { endPort: to }) };
}

function withRole(role: string) {
  return { podSelector: { matchLabels: { role } } };
}
