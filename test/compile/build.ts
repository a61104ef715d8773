/** Slim objects for the examples, with plain defaults: short to write, so that an example shows only what it is about. */
import type { Address, Prefix } from '../../src/model/address.ts';
import type {
  ClusterEvent,
  ClusterObject,
  Labels,
  Namespace,
  NetworkPolicy,
  ObjectKey,
  Peer,
  Pod,
  PolicyPort,
  PolicyRule,
  Selector,
} from '../../src/model/cluster.ts';

export function namespace(name: string, labels: Labels = {}): Namespace {
  return { kind: 'Namespace', name, labels: { ...labels, 'kubernetes.io/metadata.name': name } };
}

/** A pod of the node `here` by `NAMESPACE/NAME`, with one or two addresses and `app=NAME`. */
export function pod(key: string, addresses: string, more: Partial<Pod> = {}): Pod {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'Pod',
    namespace,
    name,
    labels: { app: name },
    node: 'here',
    addresses: addresses.split(' ').filter((text) => text !== '') as Address[],
    hostNetwork: false,
    finished: false,
    ports: [],
    ...more,
  };
}

/** An ingress policy that selects every pod of its namespace and admits nothing. */
export function policy(key: string, more: Partial<NetworkPolicy> = {}): NetworkPolicy {
  const [namespace = '', name = ''] = key.split('/');
  const { ingress = [], egress = [] } = more;
  const all: Selector = { requirements: [] };
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    podSelector: all,
    policyTypes: ['ingress'],
    ingress,
    egress,
    ...more,
  };
}

export function rule(peers: readonly Peer[], ports: readonly PolicyPort[] = []): PolicyRule {
  return { peers, ports };
}

export function selector(labels: Labels): Selector {
  return { requirements: Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] })) };
}

export function pods(labels: Labels): Peer {
  return { kind: 'pods', podSelector: selector(labels) };
}

export function block(cidr: string, ...except: string[]): Peer {
  return { kind: 'ipBlock', cidr: cidr as Prefix, except: except as Prefix[] };
}

export function tcp(from: number, to = from): PolicyPort {
  return { kind: 'range', protocol: 'TCP', from, to };
}

export function named(name: string): PolicyPort {
  return { kind: 'named', protocol: 'TCP', name };
}

export function put(...objects: ClusterObject[]): ClusterEvent[] {
  return objects.map((object) => ({ type: 'upsert', object }));
}

export function remove(kind: ClusterObject['kind'], key: string): ClusterEvent {
  return { type: 'delete', kind, key: key as ObjectKey };
}
