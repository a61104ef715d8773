/** Who stands behind an address, in the API objects' own names: a pod of any node, a Service, a node. */
import type { Address } from '../model/address.ts';
import {
  type ClusterEvent,
  type ClusterObject,
  type Kind,
  keyOf,
  type Node,
  type ObjectKey,
  type Pod,
  type Service,
} from '../model/cluster.ts';

export interface AddressName {
  readonly pod?: ObjectKey;
  readonly service?: ObjectKey;
  readonly node?: string;
}

export interface NameLookup {
  nameOf(address: Address): AddressName;
}

type Kept = Service | Node;

/** Pods are asked of whoever keeps them already; Services and nodes are few and kept here. */
export class NameIndex implements NameLookup {
  readonly #node: string;
  readonly #podAt: (address: Address) => Pod | undefined;
  readonly #kept = new Map<string, Kept>();
  readonly #owners = new Map<Address, Kept>();
  #ownAddresses: ReadonlySet<Address> = new Set();

  constructor(node: string, podAt: (address: Address) => Pod | undefined) {
    this.#node = node;
    this.#podAt = podAt;
  }

  get objects(): Iterable<Service | Node> {
    return this.#kept.values();
  }

  noteEvents(events: readonly ClusterEvent[]): void {
    for (const event of events) {
      if (event.type === 'delete') this.#forget(event.kind, event.key);
      else if (isKept(event.object)) {
        this.#forget(event.object.kind, keyOf(event.object));
        this.#kept.set(idOf(event.object.kind, keyOf(event.object)), event.object);
        for (const address of event.object.addresses) this.#owners.set(address, event.object);
      }
    }
  }

  noteOwnAddresses(addresses: ReadonlySet<Address>): void {
    this.#ownAddresses = addresses;
  }

  nameOf(address: Address): AddressName {
    const pod = this.#podAt(address);
    if (pod !== undefined) return { pod: keyOf(pod), ...(pod.node !== undefined && { node: pod.node }) };
    const owner = this.#owners.get(address);
    if (owner?.kind === 'Service') return { service: keyOf(owner) };
    if (owner?.kind === 'Node') return { node: owner.name };
    return this.#ownAddresses.has(address) ? { node: this.#node } : {};
  }

  #forget(kind: Kind, key: ObjectKey): void {
    const known = this.#kept.get(idOf(kind, key));
    if (known === undefined) return;
    this.#kept.delete(idOf(kind, key));
    for (const address of known.addresses) if (this.#owners.get(address) === known) this.#owners.delete(address);
  }
}

function isKept(object: ClusterObject): object is Kept {
  return object.kind === 'Service' || object.kind === 'Node';
}

function idOf(kind: Kind, key: ObjectKey): string {
  return `${kind} ${key}`;
}
