/** Services and host ports -> every address and port that a node translates, in one family, and the pods behind it. */
import { type Address, type Family, familyOf } from '../../model/address.ts';
import type { Service, ServicePort } from '../../model/cluster.ts';
import { type ContainerPort, keyOf, type Node, type ObjectKey, type Pod, type Protocol } from '../../model/cluster.ts';
import { type LabCluster, runningPods } from '../lab-cluster.ts';

/** A pod behind a Service's port, at the address and port that its packets are turned to. */
export interface Backend {
  readonly pod: ObjectKey;
  readonly node: string;
  readonly address: Address;
  readonly port: number;
}

/** One port of a Service in one family. */
export interface PublishedPort {
  readonly service: ObjectKey;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly port: number;
  readonly clusterAddresses: readonly Address[];
  readonly externalAddresses: readonly Address[];
  /** On every node's own addresses. */
  readonly nodePort?: number;
  /** Sorted by pod. */
  readonly backends: readonly Backend[];
  readonly affinitySeconds?: number;
  /** Only the backends of the node that the packet came to. */
  readonly externalLocal: boolean;
  readonly internalLocal: boolean;
}

/** A port of a node's own addresses that leads to a pod there. */
export interface HostPort {
  readonly protocol: Protocol;
  readonly port: number;
  /** Absent: all of the node's. */
  readonly address?: Address;
  readonly backend: Backend;
}

/** Headless Services have no address, and of those without selector somebody else knows the endpoints: both are left out. */
export function publishedPorts(cluster: LabCluster, family: Family): readonly PublishedPort[] {
  const pods = runningPods(cluster);
  const nodes = new Map(cluster.nodes.map((node) => [node.name, node]));
  return (cluster.services ?? [])
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    .flatMap((service) => {
      const { selector, externalAddresses = [] } = service;
      const addresses = service.addresses.filter((address) => familyOf(address) === family);
      if (selector === undefined || addresses.length === 0) return [];
      const selected = pods.filter((pod) => isSelected(pod, service));
      return service.ports.map(
        (port): PublishedPort => ({
          service: keyOf(service),
          family,
          protocol: port.protocol,
          port: port.port,
          clusterAddresses: addresses.filter((address) => !externalAddresses.includes(address)),
          externalAddresses: addresses.filter((address) => externalAddresses.includes(address)),
          ...(port.nodePort !== undefined && { nodePort: port.nodePort }),
          backends: selected.flatMap((pod) => backendOf(pod, targetOf(pod, port), nodes, family)),
          ...(service.affinitySeconds !== undefined && { affinitySeconds: service.affinitySeconds }),
          externalLocal: service.externalTrafficPolicy === 'Local',
          internalLocal: service.internalTrafficPolicy === 'Local',
        }),
      );
    });
}

/** Of the pods of a node; one in the node's network has its ports there already. */
export function hostPorts(cluster: LabCluster, node: string, family: Family): readonly HostPort[] {
  const nodes = new Map(cluster.nodes.map((one) => [one.name, one]));
  const pods = runningPods(cluster).filter((pod) => pod.node === node && !pod.hostNetwork);
  return pods.flatMap((pod) =>
    pod.ports.flatMap(({ hostPort, hostAddress, protocol, port }: ContainerPort) => {
      if (hostPort === undefined || (hostAddress !== undefined && familyOf(hostAddress) !== family)) return [];
      const address = hostAddress !== undefined && { address: hostAddress };
      return backendOf(pod, port, nodes, family).map((backend) => ({ protocol, port: hostPort, ...address, backend }));
    }),
  );
}

/** For nodes on which somebody else leads these to their pods. */
export function withoutHostPorts(cluster: LabCluster): LabCluster {
  const plain = ({ protocol, port, name }: ContainerPort): ContainerPort => ({ protocol, port, ...(name && { name }) });
  return { ...cluster, pods: cluster.pods.map((pod) => ({ ...pod, ports: pod.ports.map(plain) })) };
}

/** The backends that a packet to an address and port may be turned to; undefined where nothing is translated. */
export function translated(
  cluster: LabCluster,
  to: { readonly address: Address; readonly port: number; readonly protocol: Protocol; readonly node?: string },
): readonly Backend[] | undefined {
  const { address, port, protocol, node } = to;
  const published = publishedPorts(cluster, familyOf(address)).find((one) => {
    if (one.protocol !== protocol) return false;
    if (node !== undefined) return one.nodePort === port;
    return one.port === port && [...one.clusterAddresses, ...one.externalAddresses].includes(address);
  });
  if (published !== undefined || node === undefined) return published?.backends;
  const host = hostPorts(cluster, node, familyOf(address)).find((one) => {
    return one.protocol === protocol && one.port === port && (one.address ?? address) === address;
  });
  return host && [host.backend];
}

/** Addresses of Services that some node translates, with the Service. */
export function serviceAddresses(cluster: LabCluster): ReadonlyMap<Address, ObjectKey> {
  const published = ([4, 6] as const).flatMap((family) => publishedPorts(cluster, family));
  return new Map(
    published.flatMap(({ service, clusterAddresses, externalAddresses }) =>
      [...clusterAddresses, ...externalAddresses].map((address) => [address, service] as const),
    ),
  );
}

function isSelected(pod: Pod, { namespace, selector }: Service): boolean {
  const { labels } = pod;
  return (
    pod.namespace === namespace &&
    Object.entries(selector ?? {}).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
  );
}

/** "A named port may be another number on each pod." Undefined where the pod has none of that name. */
function targetOf(pod: Pod, { targetPort, protocol }: ServicePort): number | undefined {
  if (typeof targetPort === 'number') return targetPort;
  return pod.ports.find((port) => port.name === targetPort && port.protocol === protocol)?.port;
}

function backendOf(
  pod: Pod,
  port: number | undefined,
  nodes: ReadonlyMap<string, Node>,
  family: Family,
): readonly Backend[] {
  const node = nodes.get(pod.node ?? '');
  const addresses = pod.hostNetwork && pod.addresses.length === 0 ? (node?.addresses ?? []) : pod.addresses;
  const address = addresses.find((one) => familyOf(one) === family);
  if (port === undefined || node === undefined || address === undefined) return [];
  return [{ pod: keyOf(pod), node: node.name, address, port }];
}
