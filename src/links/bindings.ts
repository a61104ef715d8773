/**
 * Whose veth is this: pod links and local endpoints -> bindings. What a link's other end says of its addresses is a claim
 * by the pod itself, so it counts only for an address of exactly one pod of this node, the first claim stands,
 * and a link that claims what another holds is closed and reported.
 */
import type { Address } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';
import type { CompiledState, Endpoint } from '../model/compiled.ts';
import type { Binding, PodLink } from '../model/links.ts';

/** What an unknown interface may do until it is known; `auto` asks who it could be. */
export type PendingMode = 'auto' | 'open' | 'closed';

type View = Pick<CompiledState, 'endpoints' | 'awaited'>;

export class Bindings {
  readonly #mode: PendingMode;
  /**
   * Link to the pod that it was first bound to, with the addresses that the pod's record had then. It stands while both
   * exist and that record is the same, whatever the pod does to its interface.
   */
  readonly #held = new Map<number, { readonly pod: ObjectKey; readonly addresses: string }>();

  constructor(mode: PendingMode) {
    this.#mode = mode;
  }

  /** Binds every link; the order of links decides who claimed first only among those that are new in this call. */
  update(links: ReadonlyMap<number, PodLink>, state: View): ReadonlyMap<number, Binding> {
    const holders = this.#keepStanding(links, state);
    const owners = ownersOf(state.endpoints);
    const bindings = new Map<number, Binding>();
    const pending = this.pendingVerdict(state);
    for (const link of [...links.values()].sort((a, b) => a.ifindex - b.ifindex)) {
      bindings.set(link.ifindex, this.#bind(link, { owners, holders, pending, state }));
    }
    return bindings;
  }

  /**
   * What an interface may do of which nothing is known. Pods are isolated before they start, and their addresses are
   * published about a second after: so closed while any pod that is awaited here is isolated, or none is awaited at all
   * (the link is then nobody we know), open while nobody it could be is under a policy.
   */
  pendingVerdict(state: View): 'open' | 'closed' {
    if (this.#mode !== 'auto') return this.#mode;
    const awaited = [...state.awaited.values()];
    return awaited.length === 0 || awaited.some((pod) => pod.isolated) ? 'closed' : 'open';
  }

  #keepStanding(links: ReadonlyMap<number, PodLink>, state: View): Map<ObjectKey, number> {
    const holders = new Map<ObjectKey, number>();
    for (const [ifindex, { pod, addresses }] of this.#held) {
      if (links.has(ifindex) && recordOf(state, pod) === addresses) holders.set(pod, ifindex);
      else this.#held.delete(ifindex);
    }
    return holders;
  }

  #bind(
    link: PodLink,
    at: {
      owners: ReadonlyMap<Address, readonly ObjectKey[]>;
      holders: Map<ObjectKey, number>;
      pending: 'open' | 'closed';
      state: View;
    },
  ): Binding {
    const held = this.#held.get(link.ifindex);
    if (held !== undefined) return endpoint(link, held.pod);
    const claimed = new Set<ObjectKey>();
    for (const address of link.addresses) {
      const pods = at.owners.get(address) ?? [];
      if (pods.length > 1) return closed(link, `${address} belongs to ${pods.join(' and ')}`);
      for (const pod of pods) claimed.add(pod);
    }
    const [pod, second] = claimed;
    if (pod === undefined)
      return { kind: 'pending', link, verdict: at.pending, reason: 'no pod of this node has its address' };
    if (second !== undefined) return closed(link, `claims the addresses of ${[...claimed].join(' and ')}`);
    const holder = at.holders.get(pod);
    if (holder !== undefined) return closed(link, `claims an address of ${pod}, which interface ${holder} holds`);
    this.#held.set(link.ifindex, { pod, addresses: recordOf(at.state, pod) as string });
    at.holders.set(pod, link.ifindex);
    return endpoint(link, pod);
  }
}

function recordOf(state: View, pod: ObjectKey): string | undefined {
  return state.endpoints.get(pod)?.addresses.join(' ');
}

function endpoint(link: PodLink, pod: ObjectKey): Binding {
  return { kind: 'endpoint', link, pod, linkLocal: link.addresses.filter(isLinkLocal6) };
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

/** fe80::/10. */
function isLinkLocal6(address: Address): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}
