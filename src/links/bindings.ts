/**
 * Whose veth is this: pod links and local endpoints -> bindings. What a link's other end says of its addresses is a claim
 * by the pod itself, so it counts only for an address of exactly one pod of this node, the first claim stands,
 * and a link that claims what another holds is closed and reported.
 */
import type { Address } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';
import type { CompiledState, Endpoint } from '../model/compiled.ts';
import type { Binding, NodeLinks, PodLink } from '../model/links.ts';
import { isLinkLocal6 } from './link-local.ts';

/** What an unknown interface may do until it is known; `auto` asks who it could be. */
export type PendingMode = 'auto' | 'open' | 'closed';

export type BindingsView = Pick<CompiledState, 'endpoints' | 'awaited'>;

/** What a link was bound to first; it stands while link and pod exist and the pod's record has these addresses. */
interface Held {
  readonly pod: ObjectKey;
  readonly addresses: string;
  /** The first link-local address that nobody else had. */
  linkLocal?: Address;
}

interface Claims {
  readonly state: BindingsView;
  readonly own: ReadonlySet<Address>;
  readonly owners: ReadonlyMap<Address, readonly ObjectKey[]>;
  readonly holders: Map<ObjectKey, number>;
  readonly pending: 'open' | 'closed';
}

type Links = Pick<NodeLinks, 'pods' | 'ownAddresses' | 'gone'>;

/** What the last call was given, as far as it is compared, and what it gave. */
interface Last {
  readonly pods: NodeLinks['pods'];
  readonly own: NodeLinks['ownAddresses'];
  readonly pending: 'open' | 'closed';
  readonly bindings: ReadonlyMap<number, Binding>;
}

export class Bindings {
  readonly #mode: PendingMode;
  readonly #held = new Map<number, Held>();
  /** Links that some pod's policy stood on: open to nobody until they are bound again. */
  readonly #once = new Set<number>();
  /** Addresses that links were bound by before this process; each until its link is looked at with pods there. */
  readonly #inForce: Map<number, string>;
  #last: Last | undefined;

  /** @param inForce addresses of the endpoint on each interface that the kernel enforces already, by ifindex */
  constructor(mode: PendingMode, inForce: ReadonlyMap<number, readonly Address[]> = new Map()) {
    this.#mode = mode;
    this.#inForce = new Map([...inForce].map(([ifindex, addresses]) => [ifindex, textOf(addresses)]));
  }

  /**
   * Binds every link; of links that are new in one call the older index claims first.
   * @param changed pods of this node whose endpoints may differ since the last call; absent: any
   * @returns the very map of the last call when nothing has changed that it depends on
   */
  update(links: Links, state: BindingsView, changed?: ReadonlySet<ObjectKey>): ReadonlyMap<number, Binding> {
    const pending = this.pendingVerdict(state);
    const last = this.#last;
    const sameLinks = last?.pods === links.pods && last.own === links.ownAddresses && links.gone.size === 0;
    if (changed?.size === 0 && sameLinks && last.pending === pending) return last.bindings;
    const bindings = this.#bindAll(links, state, pending);
    this.#last = { pods: links.pods, own: links.ownAddresses, pending, bindings };
    return bindings;
  }

  #bindAll(links: Links, state: BindingsView, pending: 'open' | 'closed'): ReadonlyMap<number, Binding> {
    this.#forget(links);
    this.#takeOver(state);
    const claims: Claims = {
      state,
      own: links.ownAddresses,
      owners: ownersOf(state.endpoints),
      holders: this.#keepStanding(state),
      pending,
    };
    const sorted = [...links.pods.values()].sort((a, b) => a.ifindex - b.ifindex);
    return new Map(sorted.map((link) => [link.ifindex, this.#bind(link, claims)]));
  }

  /**
   * What an interface may do of which nothing is known. Pods are isolated before they start, and their addresses are
   * published about a second after: so closed while any pod that is awaited here is isolated, or none is awaited at all
   * (the link is then nobody we know), open while nobody it could be is under a policy.
   */
  pendingVerdict(state: Pick<CompiledState, 'awaited'>): 'open' | 'closed' {
    if (this.#mode !== 'auto') return this.#mode;
    const awaited = [...state.awaited.values()];
    return awaited.length === 0 || awaited.some((pod) => pod.isolated) ? 'closed' : 'open';
  }

  #forget({ pods, gone }: Pick<NodeLinks, 'pods' | 'gone'>): void {
    for (const known of [this.#held, this.#once, this.#inForce]) {
      for (const ifindex of known.keys()) if (gone.has(ifindex) || !pods.has(ifindex)) known.delete(ifindex);
    }
  }

  /** A restart takes no claim away: a link is still whose it was, whatever its pod has done to its addresses meanwhile. */
  #takeOver({ endpoints }: BindingsView): void {
    if (this.#inForce.size === 0) return;
    const pods = new Map([...endpoints.values()].map(({ pod, addresses }) => [textOf(addresses), pod]));
    for (const [ifindex, addresses] of this.#inForce) {
      const pod = pods.get(addresses);
      this.#once.add(ifindex);
      if (pod !== undefined) this.#held.set(ifindex, { pod, addresses });
    }
    this.#inForce.clear();
  }

  #keepStanding(state: BindingsView): Map<ObjectKey, number> {
    const holders = new Map<ObjectKey, number>();
    for (const [ifindex, { pod, addresses }] of this.#held) {
      if (recordOf(state, pod) === addresses) holders.set(pod, ifindex);
      else this.#held.delete(ifindex);
    }
    return holders;
  }

  #bind(link: PodLink, claims: Claims): Binding {
    const { ifindex } = link;
    if (!this.#held.has(ifindex)) {
      const claimed = this.#claim(link, claims);
      if (claimed.kind === 'pending') return claimed;
      this.#held.set(ifindex, { pod: claimed.pod, addresses: recordOf(claims.state, claimed.pod) as string });
      this.#once.add(ifindex);
      claims.holders.set(claimed.pod, ifindex);
    }
    const held = this.#held.get(ifindex) as Held;
    const linkLocal = this.#linkLocalOf(link, held, claims.own);
    return { kind: 'endpoint', link, pod: held.pod, linkLocal: linkLocal === undefined ? [] : [linkLocal] };
  }

  /** The one pod whose address the link has, or why there is none. */
  #claim(link: PodLink, { owners, holders, pending }: Claims): Binding | { kind: 'claim'; pod: ObjectKey } {
    const claimed = new Set<ObjectKey>();
    for (const address of link.addresses) {
      const pods = owners.get(address) ?? [];
      if (pods.length > 1) return closed(link, `${address} belongs to ${pods.join(' and ')}`);
      for (const pod of pods) claimed.add(pod);
    }
    const [pod, second] = claimed;
    if (pod === undefined) {
      if (this.#once.has(link.ifindex)) return closed(link, 'the pod that it was of is gone');
      return { kind: 'pending', link, verdict: pending, reason: 'no pod of this node has its address' };
    }
    if (second !== undefined) return closed(link, `claims the addresses of ${[...claimed].join(' and ')}`);
    const holder = holders.get(pod);
    if (holder !== undefined) return closed(link, `claims an address of ${pod}, which interface ${holder} holds`);
    return { kind: 'claim', pod };
  }

  /** A pod's own, not one that the node or another link has: with that it could speak for its gateway or a neighbour. */
  #linkLocalOf(link: PodLink, held: Held, own: ReadonlySet<Address>): Address | undefined {
    if (held.linkLocal === undefined) {
      const others = new Set([...this.#held.values()].map((one) => one.linkLocal));
      const free = link.addresses.find((one) => isLinkLocal6(one) && !own.has(one) && !others.has(one));
      if (free !== undefined) held.linkLocal = free;
    }
    return held.linkLocal;
  }
}

function recordOf(state: BindingsView, pod: ObjectKey): string | undefined {
  const endpoint = state.endpoints.get(pod);
  return endpoint && textOf(endpoint.addresses);
}

function textOf(addresses: readonly Address[]): string {
  return [...addresses].sort().join(' ');
}

function closed(link: PodLink, reason: string): Binding {
  return { kind: 'pending', link, verdict: 'closed', reason };
}

function ownersOf(endpoints: ReadonlyMap<ObjectKey, Endpoint>): ReadonlyMap<Address, readonly ObjectKey[]> {
  const owners = new Map<Address, ObjectKey[]>();
  for (const { pod, addresses } of endpoints.values()) {
    for (const address of addresses) owners.set(address, [...(owners.get(address) ?? []), pod]);
  }
  return owners;
}
