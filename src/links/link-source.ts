/**
 * The kernel's interfaces -> NodeLinks, now and at every change. What the other end of a veth is and which addresses it
 * has comes from netlink alone: no host PID, no runtime's files, no guess from names.
 */
import { isDeepStrictEqual } from 'node:util';
import { Observable } from 'rxjs';
import { type Address, parseAddress } from '../model/address.ts';
import type { ExitLink, NodeLinks, PodLink } from '../model/links.ts';
import { BpfError, netlink } from '../native.ts';
import { missingCapabilities, PrivilegeError } from '../privilege.ts';
import { classify, type LinkFacts, networkOf } from './classify.ts';

/**
 * Lists once, then again after each burst of events, and emits what differs; never completes. Errors when the node's own
 * interfaces cannot be listed (out of descriptors, say): subscribe again.
 */
export function linkSource(): Observable<NodeLinks> {
  return new Observable((subscriber) => {
    const listing = new Listing();
    let last: NodeLinks | undefined;
    let scheduled: NodeJS.Immediate | undefined;
    let since: number | undefined;
    const list = () => {
      scheduled = undefined;
      const began = since;
      since = undefined;
      try {
        const links = listing.take();
        if (links.gone.size === 0 && isDeepStrictEqual(links, last)) return;
        last = links;
        subscriber.next(began === undefined ? links : { ...links, since: began });
      } catch (error) {
        subscriber.error(error);
      }
    };
    const watch = watchAll((event) => {
      listing.note(event);
      since ??= performance.now();
      scheduled ??= setImmediate(list);
    });
    list();
    return () => {
      clearImmediate(scheduled);
      watch.close();
    };
  });
}

/** @throws {PrivilegeError} "EPERM" alone would not say that this takes a capability of its own */
function watchAll(onEvent: Parameters<typeof netlink.watch>[0]): ReturnType<typeof netlink.watch> {
  try {
    return netlink.watch(onEvent, { allNetns: true });
  } catch (cause) {
    if (!(cause instanceof BpfError) || cause.code !== 'EPERM') throw cause;
    const [missing] = missingCapabilities(['CAP_NET_BROADCAST']);
    const lack = missing === undefined ? cause.message : `missing here: ${missing}`;
    throw new PrivilegeError(`hearing of addresses in the pods' namespaces takes CAP_NET_BROADCAST (${lack})`, {
      cause,
    });
  }
}

interface Peer {
  readonly netnsId: number;
  readonly addresses: readonly Address[];
}

/** What is known of the other ends between two listings, and which interfaces went. */
class Listing {
  /** By our end's index; an entry is kept until something in that namespace changes, or the interface goes. */
  readonly #peers = new Map<number, Peer>();
  #gone = new Set<number>();
  #missed = false;

  note(event: netlink.NetlinkEvent): void {
    if (event.kind === 'overflow') {
      this.#peers.clear();
      this.#missed = true;
    } else if (event.netnsId !== undefined) this.#forgetNamespace(event.netnsId);
    else if (event.kind === 'link') {
      this.#peers.delete(event.link.ifindex);
      if (event.removed) this.#gone.add(event.link.ifindex);
    }
  }

  take(): NodeLinks {
    const links = netlink.links();
    const own = netlink.addresses();
    const gone = this.#gone;
    const missed = this.#missed;
    this.#gone = new Set();
    this.#missed = false;
    const facts = links.map((link) => factsOf(link, own));
    const roles = classify(facts);
    const pods = new Map<number, PodLink>();
    const exits = new Map<number, ExitLink>();
    for (const [index, link] of links.entries()) {
      const { ifindex, name } = link;
      const role = roles.get(ifindex);
      const network = networkOf(facts[index] as LinkFacts);
      if (role === 'exit') exits.set(ifindex, { ifindex, name, ...(network !== undefined && { network }) });
      if (role === 'pod') pods.set(ifindex, { ifindex, name, addresses: this.#addressesBehind(link) });
    }
    for (const ifindex of this.#peers.keys()) if (!pods.has(ifindex)) this.#peers.delete(ifindex);
    return { pods, exits, ownAddresses: new Set(own.map((one) => canonical(one.address))), gone, missed };
  }

  #forgetNamespace(netnsId: number): void {
    for (const [ifindex, peer] of this.#peers) if (peer.netnsId === netnsId) this.#peers.delete(ifindex);
  }

  #addressesBehind({ ifindex, peerIndex, peerNetnsId }: netlink.Link): readonly Address[] {
    if (peerNetnsId === undefined) return [];
    const known = this.#peers.get(ifindex);
    if (known?.netnsId === peerNetnsId) return known.addresses;
    const all = addressesIn(peerNetnsId);
    if (all === undefined) return [];
    const addresses = all.filter((one) => one.ifindex === peerIndex).map((one) => canonical(one.address));
    this.#peers.set(ifindex, { netnsId: peerNetnsId, addresses });
    return addresses;
  }
}

/**
 * Undefined when a namespace went while we asked, or gives no consistent answer: a pod that keeps changing thousands of
 * addresses must not keep us from seeing the others.
 */
function addressesIn(netnsId: number): readonly netlink.Address[] | undefined {
  try {
    return netlink.addresses({ netnsId });
  } catch (error) {
    if (error instanceof BpfError && error.code !== 'EMFILE' && error.code !== 'ENFILE') return undefined;
    throw error;
  }
}

function factsOf(link: netlink.Link, own: readonly netlink.Address[]): LinkFacts {
  const { ifindex, name, kind, loopback, master, peerNetnsId } = link;
  const addresses = own
    .filter((one) => one.ifindex === ifindex)
    .map((one) => ({ address: canonical(one.address), prefixLength: one.prefixLength }));
  return { ifindex, name, kind, loopback, master, peerNetnsId, addresses };
}

function canonical(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`netlink gave ${JSON.stringify(text)} for an address`);
  return address;
}
