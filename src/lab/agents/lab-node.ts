/** One node of the lab with everything that its own namespace, its pods and the other nodes must know of it. */
import {
  type Address,
  addressBytes,
  addressOf,
  covers,
  type Family,
  familyOf,
  type Prefix,
  splitPrefix,
} from '../../model/address.ts';
import type { Node, Pod } from '../../model/cluster.ts';
import { type LabId, macOf, nodeNamespace } from '../network/names.ts';
import { linkLocalOf } from '../network/namespace-plan.ts';

export const FAMILIES: readonly Family[] = [4, 6];

/** What the bridge cni0 has in one family. */
export interface Gateway {
  readonly address: Address;
  /** Absent where the node has no pod subnet of the family: its pods have addresses of their own. */
  readonly subnet?: Prefix;
}

export interface LabNode {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly Address[];
  readonly podPrefixes: readonly Prefix[];
  /** The first of each family is the pods' default gateway. */
  readonly gateways: readonly Gateway[];
  readonly pods: readonly Pod[];
}

/** For pods that have an address of a family of which their node has no subnet. */
const SPARE_GATEWAYS: Record<Family, Address> = { 4: '169.254.1.1' as Address, 6: 'fe80::5e1f' as Address };

export function labNode(lab: LabId, node: Node, pods: readonly Pod[]): LabNode {
  const taken = new Set(pods.flatMap((pod) => pod.addresses));
  const { name, addresses, podPrefixes } = node;
  const gateways = podPrefixes.map((subnet) => ({ address: firstFree(subnet, taken), subnet }));
  const missing = FAMILIES.filter((family) => !podPrefixes.some((prefix) => familyOf(prefix) === family));
  return {
    name,
    namespace: nodeNamespace(lab, name),
    addresses,
    podPrefixes,
    gateways: [...gateways, ...missing.map((family) => ({ address: SPARE_GATEWAYS[family] }))],
    pods: pods.filter((pod) => pod.node === name),
  };
}

export function addressIn(family: Family, addresses: readonly Address[]): Address | undefined {
  return addresses.find((address) => familyOf(address) === family);
}

export function gatewayIn(family: Family, node: LabNode): Gateway {
  return node.gateways.find(({ address }) => familyOf(address) === family) as Gateway;
}

/** The subnet of the node from which the address comes, if any. */
export function subnetOf(node: LabNode, address: Address): Prefix | undefined {
  return node.podPrefixes.find((prefix) => covers(prefix, address));
}

/**
 * The next hop to a node over one of its interfaces, as `via` takes it: its address of the family where it has one, else
 * the link-local address of the interface, which carries both families.
 */
export function viaNode(node: LabNode, family: Family, device: string): string {
  const address = addressIn(family, node.addresses);
  return address ?? `${family === 4 ? 'inet6 ' : ''}${linkLocalOf(macOf(`${node.namespace} ${device}`))}`;
}

/** The lowest host address of a prefix that nobody has. */
function firstFree(subnet: Prefix, taken: ReadonlySet<Address>): Address {
  const network = addressBytes(splitPrefix(subnet).address);
  for (let host = 1; ; host++) {
    const bytes = Uint8Array.from(network);
    for (let rest = host, at = bytes.length - 1; rest > 0; rest >>= 8, at--)
      bytes[at] = (bytes[at] as number) + (rest & 255);
    const address = addressOf(bytes);
    if (!taken.has(address)) return address;
  }
}
