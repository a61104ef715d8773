/**
 * A node as Flannel leaves it: an uplink on the wire, the bridge cni0 with the gateways of the pod subnets, and routes to
 * the other nodes' subnets, through VXLAN with static entries or straight over the wire.
 */
import { type Address, bitsOf, type Family, familyOf, type Prefix, splitPrefix } from '../../model/address.ts';
import { addressIn, FAMILIES, type LabNode, subnetOf, viaNode } from '../agents/lab-node.ts';
import { LabError } from '../lab-error.ts';
import { interfaceName, type LabId, macOf, wireNamespace } from './names.ts';
import {
  assign,
  assignLinkLocal,
  DEFAULT_ROUTES,
  type Entry,
  impatientNeighbours,
  type NamespacePlan,
  ROUTER_SYSCTLS,
  route,
} from './namespace-plan.ts';

export type Backend = 'vxlan' | 'host-gw';

/** The next hop of everything that is not of the cluster, on the wire. */
export const OUTSIDE_GATEWAYS = { 4: '169.254.0.1', 6: 'fe80::1' } as Record<Family, Address>;

/**
 * By the family of the outer packet. flanneld makes a second device for IPv6, with the same number and port, and takes
 * the outer headers off the MTU.
 */
const VXLAN: Record<Family, { readonly device: string; readonly mtu: number }> = {
  4: { device: 'flannel.1', mtu: 1450 },
  6: { device: 'flannel-v6.1', mtu: 1430 },
};

/** What all namespaces of a lab are planned from. */
export interface Shape {
  readonly lab: LabId;
  readonly backend: Backend;
  readonly nodes: readonly LabNode[];
  /** Addresses of nobody in the cluster that somebody wants to talk to. */
  readonly outside: readonly Address[];
  /** External addresses of Services, each with the node that it leads to. */
  readonly announced: ReadonlyMap<Address, LabNode>;
}

type WithAddresses = Pick<LabNode, 'addresses'>;

/** Bytes of a packet of pods, from the IP header on. */
export function podMtu({ backend, nodes }: Pick<Shape, 'backend'> & { nodes: readonly WithAddresses[] }): number {
  if (backend === 'host-gw') return 1500;
  return nodes.some((node) => addressIn(6, node.addresses)) ? VXLAN[6].mtu : VXLAN[4].mtu;
}

/** @throws {LabError} two nodes have no family in common */
export function nodePlan(node: LabNode, shape: Shape): NamespacePlan {
  const { lab, backend, nodes } = shape;
  const others = nodes.filter((other) => other !== node);
  const port = interfaceName('node', node.namespace);
  const mtu = podMtu(shape);
  const uplinkMac = macOf(`${node.namespace} eth0`);
  return {
    name: node.namespace,
    place: { kind: 'node', node: node.name },
    sysctls: ROUTER_SYSCTLS,
    cable: {
      parent: wireNamespace(lab),
      port,
      bridge: 'wire',
      attach: [
        `link add ${port} type veth peer name eth0 address ${uplinkMac} netns ${node.namespace}`,
        `link set ${port} master wire up`,
      ],
      detach: `link del ${port}`,
    },
    links: [
      // Without a querier on the bridge its snooping would sooner or later swallow neighbour solicitations.
      `link add cni0 mtu ${mtu} address ${macOf(`${node.namespace} cni0`)} type bridge mcast_snooping 0`,
      ...(backend === 'vxlan' ? FAMILIES.flatMap((family) => vxlanLink(node, family)) : []),
    ],
    setup: [...uplinkSetup(node), ...bridgeSetup(node), ...(backend === 'vxlan' ? vxlanSetup(node) : [])],
    entries: [
      ...strays(node).map((address) => route(hostPrefix(address), 'dev cni0')),
      ...others.flatMap((other) => [
        ...other.addresses.map((address) => route(hostPrefix(address), 'dev eth0')),
        ...(backend === 'vxlan' ? vxlanEntries(node, other) : directEntries(other)),
      ]),
      ...shadowed(shape).map((address) => {
        return route(hostPrefix(address), `via ${OUTSIDE_GATEWAYS[familyOf(address)]} dev eth0 onlink`);
      }),
    ],
  };
}

export function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

function uplinkSetup(node: LabNode): string[] {
  return [
    ...impatientNeighbours('eth0'),
    'link set lo up',
    'link set eth0 up',
    // The shortest network that there is: it hides no pod and has no broadcast address, and still marks an uplink.
    assignLinkLocal(macOf(`${node.namespace} eth0`), 'eth0'),
    ...node.addresses.map((address) => assign(address, bitsOf(familyOf(address)) - 1, 'eth0')),
    ...FAMILIES.map((family) => `route add ${DEFAULT_ROUTES[family]} via ${OUTSIDE_GATEWAYS[family]} dev eth0 onlink`),
  ];
}

function bridgeSetup(node: LabNode): string[] {
  return [
    ...impatientNeighbours('cni0'),
    'link set cni0 up',
    assignLinkLocal(macOf(`${node.namespace} cni0`), 'cni0'),
    ...node.gateways.map(({ address, subnet }) => {
      const length = subnet ? splitPrefix(subnet).length : bitsOf(familyOf(address));
      return assign(address, length, 'cni0');
    }),
  ];
}

function vxlanLink(node: LabNode, family: Family): string[] {
  const local = addressIn(family, node.addresses);
  if (local === undefined) return [];
  const { device, mtu } = VXLAN[family];
  const tunnel = `type vxlan id 1 local ${local} dev eth0 dstport 8472 nolearning`;
  return [`link add ${device} mtu ${mtu} address ${macOf(`${node.namespace} ${device}`)} ${tunnel}`];
}

function vxlanSetup(node: LabNode): string[] {
  const devices = FAMILIES.filter((family) => addressIn(family, node.addresses)).map((family) => VXLAN[family].device);
  return devices.flatMap((device) => [
    `link set ${device} up`,
    // flanneld gives the device the subnet's own address. With two devices each has that of its family.
    ...node.podPrefixes
      .filter((prefix) => device === deviceTo(node, node, familyOf(prefix)))
      .map((prefix) => splitPrefix(prefix).address)
      .map((address) => assign(address, bitsOf(familyOf(address)), device)),
  ]);
}

/** The tunnel between two nodes for inner packets of a family: of the same family, else of the other. */
function deviceTo(node: LabNode, other: LabNode, inner: Family): string {
  const outer = [inner, inner === 4 ? 6 : 4].find(
    (family) => addressIn(family as Family, node.addresses) && addressIn(family as Family, other.addresses),
  ) as Family | undefined;
  if (outer !== undefined) return VXLAN[outer].device;
  const addresses = (of: LabNode) => `${of.name} (${of.addresses.join(', ')})`;
  throw new LabError(`nodes ${addresses(node)} and ${addresses(other)} have no address of the same family`);
}

/** What flanneld writes on a node for each other node: its tunnel's Ethernet address, where that is, and the subnet's route. */
function vxlanEntries(node: LabNode, other: LabNode): Entry[] {
  const entries = FAMILIES.flatMap((family) => {
    const device = deviceTo(node, other, family);
    const mac = macOf(`${other.namespace} ${device}`);
    const outer = addressIn(device === VXLAN[4].device ? 4 : 6, other.addresses);
    const hop = tunnelEnd(other, family, device);
    const neighbour = `${hop.replace('inet6 ', '')} dev ${device}`;
    return [
      bridgeEntry(`${mac} dev ${device} dst ${outer}`),
      {
        program: 'ip' as const,
        add: `neigh replace ${neighbour} lladdr ${mac} nud permanent`,
        remove: `neigh del ${neighbour}`,
      },
      ...routed(other, family).map((prefix) => route(prefix, `via ${hop} dev ${device} onlink`)),
    ];
  });
  return [...new Map(entries.map((entry) => [entry.add, entry])).values()];
}

function bridgeEntry(entry: string): Entry {
  return { program: 'bridge', add: `fdb replace ${entry} self permanent`, remove: `fdb del ${entry} self` };
}

/** The next hop inside the tunnel: the address of the other node's device, else one that only the neighbour entry knows. */
function tunnelEnd(other: LabNode, family: Family, device: string): string {
  const subnet = other.podPrefixes.find((prefix) => familyOf(prefix) === family);
  return subnet ? splitPrefix(subnet).address : viaNode({ ...other, addresses: [] }, family, device);
}

function directEntries(other: LabNode): Entry[] {
  return FAMILIES.flatMap((family) =>
    routed(other, family).map((prefix) => route(prefix, `via ${viaNode(other, family, 'eth0')} dev eth0 onlink`)),
  );
}

/** What a node must route to another: its subnets, and the pods there whose addresses come from elsewhere. */
export function routed(node: LabNode, family: Family): readonly string[] {
  const hosts = strays(node).map(hostPrefix);
  return [...node.podPrefixes, ...hosts].filter((prefix) => familyOf(prefix as Prefix) === family);
}

/** Addresses of a node's pods that are not from its subnets. */
export function strays(node: LabNode): readonly Address[] {
  return node.pods
    .filter((pod) => !pod.hostNetwork)
    .flatMap((pod) => pod.addresses)
    .filter((address) => subnetOf(node, address) === undefined);
}

/** Outside addresses that a node would look for among its pods, because they lie in a pod subnet. */
export function shadowed({ nodes, outside }: Shape): readonly Address[] {
  return outside.filter((address) => nodes.some((node) => subnetOf(node, address) !== undefined));
}
