/** A cluster -> the plans of all network namespaces that play it: the wire, what is outside, the nodes, their pods. */
import { type Address, bitsOf, familyOf } from '../model/address.ts';
import { keyOf, type Node, type Pod } from '../model/cluster.ts';
import { FAMILIES, type LabNode, labNode, viaNode } from './lab-node.ts';
import type { LabId } from './names.ts';
import { macOf, outsideNamespace, wireNamespace } from './names.ts';
import {
  assign,
  assignLinkLocal,
  HOST_SYSCTLS,
  impatientNeighbours,
  type NamespacePlan,
  route,
} from './namespace-plan.ts';
import { type Backend, hostPrefix, nodePlan, OUTSIDE_GATEWAYS, routed, type Shape } from './node-plan.ts';
import { podPlan } from './pod-plan.ts';

/** What of a cluster the lab's network depends on. Pods are placed on nodes and have their addresses. */
export interface LabCluster {
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
}

/** Parents before children. */
export function planNetwork(
  lab: LabId,
  cluster: LabCluster,
  backend: Backend,
  outside: readonly Address[],
): readonly NamespacePlan[] {
  const pods = runningPods(cluster);
  const nodes = cluster.nodes.map((node) => labNode(lab, node, pods));
  const shape: Shape = { lab, backend, nodes, outside };
  return [
    wirePlan(lab),
    outsidePlan(shape),
    ...nodes.map((node) => nodePlan(node, shape)),
    ...nodes.flatMap((node) =>
      node.pods.filter(({ hostNetwork }) => !hostNetwork).map((pod) => podPlan(pod, node, shape)),
    ),
  ];
}

/**
 * Those that have an interface or share the node's: not finished, placed on a node of the cluster, with an address.
 * Sorted by key.
 */
export function runningPods({ nodes, pods }: LabCluster): readonly Pod[] {
  const names = new Set(nodes.map(({ name }) => name));
  return pods
    .filter((pod) => !pod.finished && pod.node !== undefined && names.has(pod.node))
    .filter((pod) => pod.hostNetwork || pod.addresses.length > 0)
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Addresses that several pods claim; each has them, but no two can be reached. */
export function contestedAddresses(pods: readonly Pod[]): ReadonlySet<Address> {
  const claims = new Map<Address, number>();
  for (const pod of pods) {
    if (!pod.hostNetwork) for (const address of pod.addresses) claims.set(address, (claims.get(address) ?? 0) + 1);
  }
  return new Set([...claims].filter(([, count]) => count > 1).map(([address]) => address));
}

function wirePlan(lab: LabId): NamespacePlan {
  return {
    name: wireNamespace(lab),
    place: { kind: 'wire' },
    sysctls: { 'ipv6/conf/default/disable_ipv6': '1' },
    links: ['link add wire type bridge mcast_snooping 0', 'link set wire up'],
    setup: [],
    entries: [],
  };
}

function outsidePlan({ lab, nodes, outside }: Shape): NamespacePlan {
  const name = outsideNamespace(lab);
  return {
    name,
    place: { kind: 'outside' },
    sysctls: HOST_SYSCTLS,
    cable: {
      parent: wireNamespace(lab),
      port: 'outside',
      bridge: 'wire',
      attach: [
        `link add outside type veth peer name eth0 address ${macOf(name)} netns ${name}`,
        'link set outside master wire up',
      ],
      detach: 'link del outside',
    },
    links: [],
    setup: [
      ...impatientNeighbours('eth0'),
      'link set lo up',
      'link set eth0 up',
      assignLinkLocal(macOf(name), 'eth0'),
      ...FAMILIES.map((family) => assign(OUTSIDE_GATEWAYS[family], bitsOf(family), 'eth0')),
    ],
    entries: [
      ...outside.map((address) => {
        const add = assign(address, bitsOf(familyOf(address)), 'eth0');
        return { program: 'ip' as const, add, remove: `address del ${hostPrefix(address)} dev eth0` };
      }),
      ...nodes.flatMap((node) => [
        ...node.addresses.map((address) => route(hostPrefix(address), 'dev eth0')),
        ...FAMILIES.flatMap((family) => routesToPods(node, family)),
      ]),
    ],
  };
}

function routesToPods(node: LabNode, family: (typeof FAMILIES)[number]) {
  return routed(node, family).map((prefix) => route(prefix, `via ${viaNode(node, family, 'eth0')} dev eth0 onlink`));
}
