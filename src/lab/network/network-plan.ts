/** A cluster -> the plans of all network namespaces that play it: the wire, what is outside, the nodes, their pods. */
import { type Address, bitsOf, familyOf } from '../../model/address.ts';
import { FAMILIES, type LabNode, labNode, viaNode } from '../agents/lab-node.ts';
import { type LabCluster, runningPods } from '../lab-cluster.ts';
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
import { publishedPorts } from './service-ports.ts';

/** Parents before children. */
export function planNetwork(
  lab: LabId,
  cluster: LabCluster,
  backend: Backend,
  outside: readonly Address[],
): readonly NamespacePlan[] {
  const pods = runningPods(cluster);
  const nodes = cluster.nodes.map((node) => labNode(lab, node, pods));
  const shape: Shape = { lab, backend, nodes, outside, announced: announcedBy(cluster, nodes) };
  return [
    wirePlan(lab),
    outsidePlan(shape),
    ...nodes.map((node) => nodePlan(node, shape)),
    ...nodes.flatMap((node) =>
      node.pods.filter(({ hostNetwork }) => !hostNetwork).map((pod) => podPlan(pod, node, shape)),
    ),
  ];
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

function outsidePlan({ lab, nodes, outside, announced }: Shape): NamespacePlan {
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
      ...[...announced].map(([address, node]) => {
        return route(hostPrefix(address), `via ${viaNode(node, familyOf(address), 'eth0')} dev eth0 onlink`);
      }),
    ],
  };
}

/** Whom those outside send packets for external addresses of Services: a node that has a backend where it must, else the first. */
function announcedBy(cluster: LabCluster, nodes: readonly LabNode[]): ReadonlyMap<Address, LabNode> {
  const ports = FAMILIES.flatMap((family) => publishedPorts(cluster, family));
  const announced = new Map<Address, LabNode>();
  for (const { externalAddresses, externalLocal, backends } of ports) {
    const local = externalLocal ? nodes.find(({ name }) => backends.some(({ node }) => node === name)) : undefined;
    const node = local ?? nodes[0];
    for (const address of externalAddresses) if (node !== undefined) announced.set(address, node);
  }
  return announced;
}

function routesToPods(node: LabNode, family: (typeof FAMILIES)[number]) {
  return routed(node, family).map((prefix) => route(prefix, `via ${viaNode(node, family, 'eth0')} dev eth0 onlink`));
}
