/**
 * The cast of the cases: two nodes, two namespaces and five pods, so that most cases differ only by their policies and
 * a harness can keep the same lab between them.
 */
import type { ClusterObject, Container, ContainerPort, Labels, Namespace, Node, Pod } from '../oracle/objects.ts';

/** Addresses outside of the cluster, two of each family with unlike beginnings. */
export const OUTSIDE = {
  near4: '203.0.113.10',
  far4: '198.51.100.20',
  near6: '2001:db8:203::10',
  far6: '2001:db8:198::20',
} as const;

export const NODE1 = { ipv4: '192.168.50.11', ipv6: 'fd00:192:168:50::11' } as const;
export const NODE2 = { ipv4: '192.168.50.12', ipv6: 'fd00:192:168:50::12' } as const;

export function namespace(name: string, labels?: Labels): Namespace {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...(labels === undefined ? {} : { labels }) } };
}

function node(name: string, subnet: number, { ipv4, ipv6 }: { ipv4: string; ipv6: string }): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDRs: [`10.244.${subnet}.0/24`, `fd00:10:244:${subnet}::/64`] },
    status: {
      addresses: [
        { type: 'InternalIP', address: ipv4 },
        { type: 'InternalIP', address: ipv6 },
        { type: 'Hostname', address: name },
      ],
    },
  };
}

export interface PodOptions {
  readonly labels?: Labels;
  readonly ports?: readonly ContainerPort[];
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly phase?: string;
  readonly hostNetwork?: boolean;
  /** In place of the two addresses that follow from `at`. */
  readonly podIPs?: readonly string[];
}

/** A pod by `namespace/name`; `at` is `node:number`, say `1:11` for 10.244.0.11 and fd00:10:244:0::11 on node1. */
export function pod(name: `${string}/${string}`, at: `${1 | 2}:${number}`, options: PodOptions = {}): Pod {
  const [space = '', own = ''] = name.split('/');
  const [nodeNumber, host = ''] = at.split(':');
  const { labels = {}, ports = [], phase = 'Running', hostNetwork = false } = options;
  const podIPs = options.podIPs ?? addressesAt(Number(nodeNumber), host);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: own, namespace: space, labels },
    spec: {
      nodeName: `node${nodeNumber}`,
      ...(hostNetwork ? { hostNetwork } : {}),
      containers: options.containers ?? [container('main', ports)],
      ...(options.initContainers === undefined ? {} : { initContainers: options.initContainers }),
    },
    status: { phase, podIPs: podIPs.map((ip) => ({ ip })) },
  };
}

export function container(name: string, ports: readonly ContainerPort[], restartPolicy?: string): Container {
  return { name, image: 'example.org/app', ports, ...(restartPolicy === undefined ? {} : { restartPolicy }) };
}

function addressesAt(nodeNumber: number, host: string): string[] {
  return [`10.244.${nodeNumber - 1}.${host}`, `fd00:10:244:${nodeNumber - 1}::${host}`];
}

/** node1 and node2, and the namespaces shop (team=shop) and audit (team=audit, trusted). */
export const ground: readonly ClusterObject[] = [
  node('node1', 0, NODE1),
  node('node2', 1, NODE2),
  namespace('shop', { team: 'shop' }),
  namespace('audit', { team: 'audit', trusted: '' }),
];

/**
 * shop/web (node1, 11), shop/api (node1, 12), shop/db (node2, 13), audit/scan (node2, 14), audit/web (node1, 15),
 * all dual stack and without policy.
 */
export const cast: readonly ClusterObject[] = [
  ...ground,
  pod('shop/web', '1:11', { labels: { app: 'web', tier: 'front' }, ports: [{ name: 'http', containerPort: 8080 }] }),
  pod('shop/api', '1:12', { labels: { app: 'api', tier: 'back' }, ports: [{ name: 'http', containerPort: 8081 }] }),
  pod('shop/db', '2:13', { labels: { app: 'db', tier: 'back' }, ports: [{ name: 'sql', containerPort: 5432 }] }),
  pod('audit/scan', '2:14', { labels: { app: 'scan' } }),
  pod('audit/web', '1:15', { labels: { app: 'web', tier: 'front' }, ports: [{ name: 'http', containerPort: 80 }] }),
];
