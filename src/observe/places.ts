/** The ends of queries → who is there: a pod, a node or somebody outside, and the addresses that it is reached at. */
import { type Address, familyOf } from '../model/address.ts';
import { gatewayOf } from '../model/allocate.ts';
import { type ClusterObject, keyOf, type Node, type ObjectKey, type Pod } from '../model/cluster.ts';
import { type End, QueryError } from '../model/query.ts';

export type Place =
  | { readonly kind: 'pod'; readonly pod: Pod; readonly key: ObjectKey; readonly addresses: readonly Address[] }
  /** `hostPod`: what was asked about is a pod that lives in the node's network. */
  | {
      readonly kind: 'node';
      readonly node: string;
      readonly hostPod?: ObjectKey;
      readonly addresses: readonly Address[];
    }
  | { readonly kind: 'outside'; readonly addresses: readonly Address[] };

const NO_ADDRESSES: ReadonlySet<Address> = new Set();

export class Places {
  readonly #pods = new Map<ObjectKey, Pod>();
  readonly #holders = new Map<Address, readonly ObjectKey[]>();
  /** Every address of a node, its own objects' first. */
  readonly #nodes = new Map<string, Set<Address>>();
  readonly #nodeAt = new Map<Address, string>();
  readonly #services = new Map<Address, ObjectKey>();
  readonly #found = new Map<string, Place>();

  constructor(objects: readonly ClusterObject[]) {
    for (const object of objects) if (object.kind === 'Pod') this.#addPod(object);
    for (const object of objects) if (object.kind === 'Node') this.#addNode(object);
    for (const object of objects) {
      if (object.kind === 'Service') for (const address of object.addresses) this.#services.set(address, keyOf(object));
    }
    for (const pod of this.#pods.values()) {
      if (pod.hostNetwork && !pod.finished) this.#addToNode(pod.node, pod.addresses);
    }
  }

  /** @throws {QueryError} there is no such pod, it has finished or has no address, or an address is several pods' or a Service's */
  find(end: End): Place {
    const text = end.kind === 'pod' ? end.key : end.address;
    let place = this.#found.get(text);
    if (place === undefined) {
      place = end.kind === 'pod' ? this.#podPlace(end.key) : this.#addressPlace(end.address);
      this.#found.set(text, place);
    }
    return place;
  }

  /** Pods that can be an end, hostNetwork ones too, sorted by key. */
  get pods(): readonly Pod[] {
    return [...this.#pods.values()]
      .filter((pod) => !pod.finished && (pod.addresses.length > 0 || (pod.hostNetwork && pod.node !== undefined)))
      .map((pod) => ({ pod, key: keyOf(pod) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ pod }) => pod);
  }

  /** Pods that policies can select, whether or not they have an address yet. */
  get selectable(): readonly Pod[] {
    return [...this.#pods.values()].filter((pod) => !pod.finished && !pod.hostNetwork);
  }

  /** Whether another active pod, on whichever node, claims an address of the pod too. */
  isContested(pod: Pod): boolean {
    return pod.addresses.some((address) => (this.#holders.get(address)?.length ?? 0) > 1);
  }

  /** All addresses of a node: those of its object, of its hostNetwork pods, and of its bridge. */
  addressesOf(node: string | undefined): ReadonlySet<Address> {
    return this.#nodes.get(node ?? '') ?? NO_ADDRESSES;
  }

  #addPod(pod: Pod): void {
    const key = keyOf(pod);
    this.#pods.set(key, pod);
    if (pod.hostNetwork || pod.finished) return;
    for (const address of pod.addresses) this.#holders.set(address, [...(this.#holders.get(address) ?? []), key]);
  }

  #addNode({ name, addresses, podPrefixes }: Node): void {
    this.#addToNode(name, addresses);
    // The bridge that the pods hang on has the first address of their prefix, where no pod says that it is its own.
    this.#addToNode(
      name,
      podPrefixes.map(gatewayOf).filter((address) => !this.#holders.has(address)),
    );
  }

  #addToNode(node: string | undefined, addresses: readonly Address[]): void {
    if (node === undefined) return;
    const known = this.#nodes.get(node) ?? new Set();
    this.#nodes.set(node, known);
    for (const address of addresses) {
      known.add(address);
      if (!this.#nodeAt.has(address)) this.#nodeAt.set(address, node);
    }
  }

  #podPlace(key: ObjectKey): Place {
    const pod = this.#pods.get(key);
    if (pod === undefined) throw new QueryError(`there is no pod ${key}`);
    if (pod.finished) throw new QueryError(`pod ${key} has finished: its address may be another's`);
    const { hostNetwork, node } = pod;
    const addresses = hostNetwork ? [...new Set([...pod.addresses, ...this.addressesOf(node)])] : pod.addresses;
    if (addresses.length === 0) throw new QueryError(`pod ${key} has no address yet`);
    if (!hostNetwork) return { kind: 'pod', pod, key, addresses };
    return node === undefined ? { kind: 'outside', addresses } : { kind: 'node', node, hostPod: key, addresses };
  }

  #addressPlace(address: Address): Place {
    const [holder, second] = this.#holders.get(address) ?? [];
    if (holder !== undefined && second !== undefined) {
      throw new QueryError(`${address} is the address of both ${holder} and ${second}: ask by name`);
    }
    const addresses = [address];
    if (holder !== undefined) return { kind: 'pod', pod: this.#pods.get(holder) as Pod, key: holder, addresses };
    const node = this.#nodeAt.get(address);
    if (node !== undefined) return { kind: 'node', node, addresses };
    const service = this.#services.get(address);
    if (service === undefined) return { kind: 'outside', addresses };
    throw new QueryError(
      `${address} is an address of Service ${service}: ask about the pods behind it, where policies judge`,
    );
  }
}

/** The place's address of a family. */
export function addressIn(place: Place, family: 'IPv4' | 'IPv6'): Address | undefined {
  const wanted = family === 'IPv4' ? 4 : 6;
  return place.addresses.find((address) => familyOf(address) === wanted);
}
