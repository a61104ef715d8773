/**
 * The kernel's interfaces -> NodeLinks, now and at every change. What the other end of a veth is and which addresses it
 * has comes from netlink alone: no host PID, no runtime's files, no guess from names.
 */
import { Observable } from 'rxjs';
import { type Address, parseAddress } from '../model/address.ts';
import type { ExitLink, NodeLinks, PodLink } from '../model/links.ts';
import { BpfError, netlink } from '../native.ts';
import { classify, type LinkFacts, type LinkRole } from './classify.ts';

/** Addresses of other namespaces by their id; an entry is kept until something in that namespace changes. */
type PeerAddresses = Map<number, readonly netlink.Address[]>;

/**
 * Lists once, then again after each burst of events; never completes. Errors when netlink does (out of descriptors, say):
 * subscribe again.
 */
export function linkSource(): Observable<NodeLinks> {
  return new Observable((subscriber) => {
    const known: PeerAddresses = new Map();
    let scheduled: NodeJS.Immediate | undefined;
    const list = () => {
      scheduled = undefined;
      try {
        subscriber.next(listLinks(known));
      } catch (error) {
        subscriber.error(error);
      }
    };
    const watch = netlink.watch(
      (event) => {
        if (event.kind === 'overflow') known.clear();
        else forget(known, event);
        scheduled ??= setImmediate(list);
      },
      { allNetns: true },
    );
    list();
    return () => {
      clearImmediate(scheduled);
      watch.close();
    };
  });
}

/** An id may come to mean another namespace only after its veth went, which is an event of this one. */
function forget(known: PeerAddresses, event: Exclude<netlink.NetlinkEvent, { kind: 'overflow' }>): void {
  if (event.netnsId !== undefined) known.delete(event.netnsId);
  else if (event.kind === 'link' && event.link.peerNetnsId !== undefined) known.delete(event.link.peerNetnsId);
}

function listLinks(known: PeerAddresses): NodeLinks {
  const links = netlink.links();
  const own = netlink.addresses();
  const roles = classify(links.map((link) => factsOf(link, own)));
  const pods = new Map<number, PodLink>();
  const exits = new Map<number, ExitLink>();
  for (const link of links) {
    const { ifindex, name } = link;
    const role: LinkRole | undefined = roles.get(ifindex);
    if (role === 'exit') exits.set(ifindex, { ifindex, name });
    if (role === 'pod') pods.set(ifindex, { ifindex, name, addresses: peerAddresses(link, known) });
  }
  return { pods, exits, ownAddresses: new Set(own.map((one) => canonical(one.address))) };
}

function factsOf(link: netlink.Link, own: readonly netlink.Address[]): LinkFacts {
  const { ifindex, name, kind, loopback, master, peerNetnsId } = link;
  const addresses = own
    .filter((one) => one.ifindex === ifindex)
    .map((one) => ({ address: canonical(one.address), prefixLength: one.prefixLength }));
  return { ifindex, name, kind, loopback, master, peerNetnsId, addresses };
}

function peerAddresses({ peerIndex, peerNetnsId }: netlink.Link, known: PeerAddresses): readonly Address[] {
  if (peerNetnsId === undefined) return [];
  const all = known.get(peerNetnsId) ?? addressesIn(peerNetnsId);
  known.set(peerNetnsId, all);
  return all.filter((one) => one.ifindex === peerIndex).map((one) => canonical(one.address));
}

/** A namespace that went while we asked has no addresses; its veth's event follows. */
function addressesIn(netnsId: number): readonly netlink.Address[] {
  try {
    return netlink.addresses({ netnsId });
  } catch (error) {
    if (error instanceof BpfError && error.code === 'EINVAL') return [];
    throw error;
  }
}

function canonical(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`netlink gave ${JSON.stringify(text)} for an address`);
  return address;
}
