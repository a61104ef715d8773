/**
 * Manifests seldom say which node a pod runs on and which address it has. This adds what is missing, as a pure function
 * of all objects, so that every node's agent, the lab, `explain` and `matrix` come to the same cluster:
 *
 * - nodes: those of Node objects and of `spec.nodeName`, else `node1`; a pod without one is placed by hash (placement.ts);
 * - node number N, from 1 in the order of names, has the pod prefixes 10.244.N.0/24 and fd00:10:244:N::/64 and the
 *   addresses 172.30.0.N+1 and fd00:172:30::N+1, unless its Node object gives prefixes or addresses; a number whose
 *   prefix or address is taken is passed over for the next one behind all nodes';
 * - the first address of a prefix is its bridge's; a pod gets another one by the hash of its key, and when that is
 *   taken the next of its own sequence, pods in the order of their keys. Both families share the place in the prefix.
 *
 * What the manifests give is kept and never given out a second time.
 */
import {
  type Address,
  addressBytes,
  addressOf,
  covers,
  type Family,
  familyOf,
  type Prefix,
  splitPrefix,
} from './address.ts';
import { type ClusterObject, keyOf, type Node, type ObjectKey, type Pod, type Warning } from './cluster.ts';
import { hashOf, mix, nodeNames, placePods } from './placement.ts';

export interface Allocation {
  /** Every pod on a node, a Node for every node, addresses wherever there is one to have. */
  readonly objects: readonly ClusterObject[];
  readonly warnings: readonly Warning[];
}

/** `unaddressed`: pods that have no address by their own word (pending ones), and get none. */
export function allocate(
  objects: readonly ClusterObject[],
  unaddressed: ReadonlySet<ObjectKey> = new Set(),
): Allocation {
  return allocateAddresses(placePods(objects), unaddressed);
}

/** Prefixes and addresses of nodes, then addresses of the pods on them. Pods without a node stay as they are. */
export function allocateAddresses(
  objects: readonly ClusterObject[],
  unaddressed: ReadonlySet<ObjectKey> = new Set(),
): Allocation {
  const taken = givenAddresses(objects);
  const nodes = completeNodes(objects, taken);
  const warnings: Warning[] = [];
  const allocated = new Map<ObjectKey, readonly Address[]>();
  for (const pod of podsInWant(objects, unaddressed)) {
    const node = nodes.get(pod.node ?? '');
    if (node === undefined) continue;
    const addresses = pod.hostNetwork ? oneOfEach(node.addresses) : claim(node.podPrefixes, hashOf(keyOf(pod)), taken);
    if (addresses.length > 0) allocated.set(keyOf(pod), addresses);
    else warnings.push(noRoom(pod, node));
  }
  const others = objects.filter((object) => object.kind !== 'Node');
  return {
    objects: [...nodes.values(), ...others.map((object) => withAddresses(object, allocated))],
    warnings,
  };
}

/** The address of a pod prefix that the node's bridge bears: its first one. */
export function gatewayOf(prefix: Prefix): Address {
  return addressAt(prefix, 1);
}

/** The address that many places behind the start of a prefix; at most 2^32 - 1. */
export function addressAt(prefix: Prefix, offset: number): Address {
  const bytes = addressBytes(splitPrefix(prefix).address);
  let carry = offset;
  for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
    carry += bytes[i] as number;
    bytes[i] = carry & 0xff;
    carry = Math.floor(carry / 256);
  }
  return addressOf(bytes);
}

function givenAddresses(objects: readonly ClusterObject[]): Set<Address> {
  const taken = new Set<Address>();
  for (const object of objects) {
    if ('addresses' in object) for (const address of object.addresses) taken.add(address);
  }
  return taken;
}

/** Every node by name, in order, with prefixes and addresses; what is given out is added to `taken`. */
function completeNodes(objects: readonly ClusterObject[], taken: Set<Address>): Map<string, Node> {
  const declared = new Map(
    objects.flatMap((object) => (object.kind === 'Node' ? [[object.name, object] as const] : [])),
  );
  const names = nodeNames(objects);
  const prefixes = [...declared.values()].flatMap((node) => node.podPrefixes);
  const freePrefixes = numbers(names.length, (number) => {
    const wanted = nodePrefixes(number);
    return !wanted.some((prefix) => prefixes.some((other) => covers(prefix, other) || covers(other, prefix)));
  });
  const freeAddresses = numbers(names.length, (number) => !nodeAddresses(number).some((address) => taken.has(address)));
  const nodes = names.map((name, index): Node => {
    const node = declared.get(name) ?? { kind: 'Node', name, addresses: [], podPrefixes: [] };
    return {
      ...node,
      podPrefixes: node.podPrefixes.length > 0 ? node.podPrefixes : nodePrefixes(freePrefixes(index + 1)),
      addresses: node.addresses.length > 0 ? node.addresses : nodeAddresses(freeAddresses(index + 1)),
    };
  });
  for (const node of nodes) for (const address of node.addresses) taken.add(address);
  return new Map(nodes.map((node) => [node.name, node]));
}

/** A node's own number when that is free, else the next free one behind the last node's. */
function numbers(count: number, free: (number: number) => boolean): (number: number) => number {
  let next = count + 1;
  return (number) => {
    if (free(number)) return number;
    while (!free(next)) next++;
    return next++;
  };
}

/** 10.244.0.0/16 has room for 255 nodes, the rest goes on in 10.245.0.0/16 and so on; none behind 10.255.0.0/16. */
function nodePrefixes(number: number): Prefix[] {
  if (number >= 12 * 256) return [];
  return [`10.${244 + (number >> 8)}.${number & 0xff}.0/24` as Prefix, `fd00:10:244:${number}::/64` as Prefix];
}

function nodeAddresses(number: number): Address[] {
  return [addressAt('172.30.0.0/16' as Prefix, number + 1), addressAt('fd00:172:30::/64' as Prefix, number + 1)];
}

/** Pods that need an address, in the order of their keys. */
function podsInWant(objects: readonly ClusterObject[], unaddressed: ReadonlySet<ObjectKey>): Pod[] {
  return objects
    .flatMap((object) => (object.kind === 'Pod' ? [object] : []))
    .filter((pod) => pod.addresses.length === 0 && !pod.finished && !unaddressed.has(keyOf(pod)))
    .map((pod) => ({ pod, key: keyOf(pod) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ pod }) => pod);
}

/** One address of each family of the prefixes, at the same place in both; none when there is no room. */
function claim(prefixes: readonly Prefix[], hash: number, taken: Set<Address>): Address[] {
  const chosen = oneOfEach(prefixes);
  if (chosen.length === 0) return [];
  // Not the network's own (flannel.1 bears it), the bridge's, and the last (IPv4's broadcast).
  const first = 2;
  const room = Math.min(...chosen.map(sizeOf)) - 1 - first;
  for (let attempt = 0; attempt < 2 * room; attempt++) {
    // A sequence of its own for each pod, then, for a prefix that is nearly full, one place after the other.
    const place = attempt < room ? mix(hash + attempt) % room : attempt - room;
    const addresses = chosen.map((prefix) => addressAt(prefix, first + place));
    if (addresses.some((address) => taken.has(address))) continue;
    for (const address of addresses) taken.add(address);
    return addresses;
  }
  return [];
}

/** Places in a prefix; of a large one the first 65,536 are plenty. */
function sizeOf(prefix: Prefix): number {
  return 2 ** Math.min((familyOf(prefix) === 4 ? 32 : 128) - splitPrefix(prefix).length, 16);
}

function oneOfEach<T extends Address | Prefix>(values: readonly T[]): T[] {
  const families: readonly Family[] = [4, 6];
  return families.flatMap((family) => values.find((value) => familyOf(value) === family) ?? []);
}

function withAddresses(object: ClusterObject, allocated: ReadonlyMap<ObjectKey, readonly Address[]>): ClusterObject {
  const addresses = object.kind === 'Pod' ? allocated.get(keyOf(object)) : undefined;
  return addresses === undefined ? object : ({ ...object, addresses } as Pod);
}

function noRoom(pod: Pod, node: Node): Warning {
  const where = pod.hostNetwork ? 'addresses' : `pod prefixes (${node.podPrefixes.join(', ')})`;
  return {
    object: `Pod ${keyOf(pod)}`,
    field: 'status.podIPs',
    message: `no address is left among the ${where} of node ${node.name}; the pod has none`,
    ...(pod.origin && { origin: pod.origin }),
  };
}
