/** A pod as the bridge CNI plugin leaves it: eth0 on its node's cni0, its addresses, and the node as its default gateway. */
import { type Address, bitsOf, covers, familyOf, splitPrefix } from '../../model/address.ts';
import { keyOf, type Pod } from '../../model/cluster.ts';
import { gatewayIn, type LabNode, subnetOf } from '../agents/lab-node.ts';
import { macOf, podInterface, podNamespace } from './names.ts';
import {
  assign,
  assignLinkLocal,
  DEFAULT_ROUTES,
  HOST_SYSCTLS,
  impatientNeighbours,
  type NamespacePlan,
  route,
} from './namespace-plan.ts';
import { hostPrefix, podMtu, type Shape, shadowed, strays } from './node-plan.ts';

export function podPlan(pod: Pod, node: LabNode, shape: Shape): NamespacePlan {
  const name = podNamespace(shape.lab, node.name, keyOf(pod));
  const port = podInterface(name);
  const mtu = podMtu(shape);
  return {
    name,
    place: { kind: 'pod', node: node.name, pod: keyOf(pod) },
    sysctls: HOST_SYSCTLS,
    cable: {
      parent: node.namespace,
      port,
      bridge: 'cni0',
      attach: [
        `link add ${port} mtu ${mtu} type veth peer name eth0 mtu ${mtu} address ${macOf(name)} netns ${name}`,
        `link set ${port} master cni0 up`,
        // As Flannel asks of the plugin: a pod may reach itself through a Service.
        `link set ${port} type bridge_slave hairpin on`,
      ],
      detach: `link del ${port}`,
    },
    links: [],
    setup: [
      ...impatientNeighbours('eth0'),
      'link set lo up',
      'link set eth0 up',
      assignLinkLocal(macOf(name), 'eth0'),
      ...pod.addresses.flatMap((address) => addressSetup(address, node)),
    ],
    entries: aroundTheSubnet(pod, node, shape).map((address) => {
      return route(hostPrefix(address), `via ${gatewayIn(familyOf(address), node).address} dev eth0`);
    }),
  };
}

function addressSetup(address: Address, node: LabNode): string[] {
  const family = familyOf(address);
  const subnet = subnetOf(node, address);
  const length = subnet ? splitPrefix(subnet).length : bitsOf(family);
  return [
    assign(address, length, 'eth0'),
    `route add ${DEFAULT_ROUTES[family]} via ${gatewayFor(address, node)} dev eth0 onlink`,
  ];
}

/** The gateway of the address's own subnet, else the node's first. */
function gatewayFor(address: Address, node: LabNode): Address {
  const own = node.gateways.find(({ subnet }) => subnet && covers(subnet, address));
  return (own ?? gatewayIn(familyOf(address), node)).address;
}

/** Addresses that the pod would look for on its bridge although they are on other nodes or outside. */
function aroundTheSubnet(pod: Pod, node: LabNode, shape: Shape): readonly Address[] {
  const onLink = pod.addresses.flatMap((address) => subnetOf(node, address) ?? []);
  const elsewhere = [...shape.nodes.filter((other) => other !== node).flatMap(strays), ...shadowed(shape)];
  return elsewhere.filter((address) => onLink.some((subnet) => covers(subnet, address)));
}
