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
import { classify, type LinkFacts, type NameTest, nameTest, networkOf } from './classify.ts';
import { LinkTable } from './link-table.ts';

/** The events are compared with what the kernel says itself: when there were none for so long, or it is so long ago. */
const CHECK_MS = { quiet: 60_000, busy: 600_000 } as const;

/**
 * Asks the kernel once, then follows its events, and emits what differs after each burst; never completes. Errors when the
 * kernel cannot be asked (out of descriptors, say): subscribe again.
 *
 * @param notPods names of interfaces and bridges that are nobody's pod, see nameTest
 */
export function linkSource(notPods: readonly string[] = []): Observable<NodeLinks> {
  return new Observable((subscriber) => {
    const listing = new Listing(nameTest(notPods));
    let last: NodeLinks | undefined;
    let scheduled: NodeJS.Immediate | undefined;
    let since: number | undefined;
    const list = () => {
      scheduled = undefined;
      check.refresh();
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
    const check = setTimeout(() => {
      listing.doubt();
      list();
    }, CHECK_MS.quiet).unref();
    list();
    return () => {
      clearTimeout(check);
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

/** An address of the node's own. */
interface OwnAddress {
  readonly ifindex: number;
  readonly prefixLength: number;
  readonly address: Address;
}

/** What is known of the interfaces and of their other ends between two emissions. */
class Listing {
  readonly #notPods: NameTest;
  readonly #table = new LinkTable();
  /** Absent: to be asked for. */
  #own: readonly OwnAddress[] | undefined;
  /** By our end's index; an entry is kept until something in that namespace changes, or the interface goes. */
  readonly #peers = new Map<number, Peer>();
  #missed = false;
  #listedAt = Number.NEGATIVE_INFINITY;

  constructor(notPods: NameTest) {
    this.#notPods = notPods;
  }

  note(event: netlink.NetlinkEvent): void {
    if (event.kind === 'overflow') {
      this.doubt();
      this.#peers.clear();
      this.#missed = true;
      return;
    }
    if (event.kind === 'link') this.#table.note(event);
    if (event.netnsId !== undefined) this.#forgetNamespace(event.netnsId);
    else {
      this.#own = undefined;
      if (event.kind === 'link') this.#peers.delete(event.link.ifindex);
    }
  }

  /** The next `take` asks the kernel for everything but the other ends' addresses. */
  doubt(): void {
    this.#listedAt = Number.NEGATIVE_INFINITY;
    this.#own = undefined;
  }

  take(): NodeLinks {
    const now = performance.now();
    if (this.#table.isDoubtful || now - this.#listedAt > CHECK_MS.busy) {
      this.#table.replace(netlink.links());
      this.#listedAt = now;
    }
    this.#own ??= ownAddresses();
    const { links } = this.#table;
    const own = this.#own;
    const gone = this.#table.takeGone();
    const missed = this.#missed;
    this.#missed = false;
    const facts = factsOf(links, own);
    const roles = classify(facts, this.#notPods);
    const pods = new Map<number, PodLink>();
    const exits = new Map<number, ExitLink>();
    for (const [index, link] of links.entries()) {
      const { ifindex, name } = link;
      const role = isHalfMade(link) ? 'none' : roles.get(ifindex);
      const network = networkOf(facts[index] as LinkFacts);
      if (role === 'exit') exits.set(ifindex, { ifindex, name, ...(network !== undefined && { network }) });
      if (role === 'pod') pods.set(ifindex, { ifindex, name, addresses: this.#addressesBehind(link) });
    }
    for (const ifindex of this.#peers.keys()) if (!pods.has(ifindex)) this.#peers.delete(ifindex);
    return { pods, exits, ownAddresses: new Set(own.map(({ address }) => address)), gone, missed };
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

/** The kernel tells of a veth's first end before it has tied it to the other; again when it comes up, and no packet passes before. */
function isHalfMade({ kind, peerIndex = 0 }: netlink.Link): boolean {
  return kind === 'veth' && peerIndex === 0;
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

function ownAddresses(): OwnAddress[] {
  return netlink.addresses().map(({ ifindex, prefixLength, address }) => {
    return { ifindex, prefixLength, address: canonical(address) };
  });
}

function factsOf(links: readonly netlink.Link[], own: readonly OwnAddress[]): LinkFacts[] {
  const byLink = Map.groupBy(own, (one) => one.ifindex);
  return links.map(({ ifindex, name, kind, loopback, master, peerNetnsId }) => {
    return { ifindex, name, kind, loopback, master, peerNetnsId, addresses: byLink.get(ifindex) ?? [] };
  });
}

/** By the kernel's text: every veth has an address of the node's, which are asked for again with each that comes. */
const spellings = new Map<string, Address>();
const MOST_SPELLINGS = 4096;

function canonical(text: string): Address {
  const known = spellings.get(text);
  if (known !== undefined) return known;
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`netlink gave ${JSON.stringify(text)} for an address`);
  // A pod may have as many as it likes.
  if (spellings.size >= MOST_SPELLINGS) spellings.clear();
  spellings.set(text, address);
  return address;
}
