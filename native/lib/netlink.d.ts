import { Handle } from './handle.js';

/** A network interface. */
export interface Link {
  readonly ifindex: number;
  readonly name: string;
  /** 'veth', 'bridge', 'vxlan' ...; absent for hardware and loopback. */
  readonly kind?: string;
  /** The bridge or bond that this is a port of. */
  readonly master?: number;
  /** IFLA_LINK: the other end of a veth, the lower device of a VLAN or VXLAN. An ifindex of `peerNetnsId`'s namespace. */
  readonly peerIndex?: number;
  /** IFLA_LINK_NETNSID: where the peer is, as the queried namespace numbers it; absent when in the same one. */
  readonly peerNetnsId?: number;
  /** Lower case with colons; absent where there is none. */
  readonly mac?: string;
  /** Bytes. */
  readonly mtu: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Up and with a carrier. */
  readonly running: boolean;
  readonly loopback: boolean;
  /** IFF_* */
  readonly flags: number;
}

export interface Address {
  readonly ifindex: number;
  readonly family: 4 | 6;
  /** Text; the interface's own (IFA_LOCAL) where there is a peer address. */
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: 'global' | 'site' | 'link' | 'host' | 'nowhere' | number;
  /** IFA_F_* (permanent 0x80, tentative 0x40, deprecated 0x20 ...) */
  readonly flags: number;
}

export interface QueryOptions {
  /** Ask about the namespace that the caller's namespace knows by this id. */
  readonly netnsId?: number;
}

/** Interfaces of the caller's network namespace, or of the one of that id. @throws BpfError EINVAL when the id is unknown */
export function links(options?: QueryOptions): Link[];
/** IPv4 and IPv6 addresses. @throws BpfError EINVAL when the id is unknown */
export function addresses(options?: QueryOptions): Address[];

export type NetlinkEvent =
  | {
      readonly kind: 'link';
      readonly removed: boolean;
      /** As it is now, whole: what `links()` would say; of one that is gone, as it was. */
      readonly link: Link;
      readonly netnsId?: number;
      /** Of one that went to another namespace: where it is now, as the namespace that it left numbers that one. */
      readonly movedTo?: { readonly netnsId: number; readonly ifindex: number };
    }
  | { readonly kind: 'address'; readonly removed: boolean; readonly address: Address; readonly netnsId?: number }
  /** The kernel had to drop events before this one: list now. What comes after it is whole again. */
  | { readonly kind: 'overflow' };

export interface WatchOptions {
  /** Also events of the other namespaces that have an id in this one; these carry `netnsId`. */
  readonly allNetns?: boolean;
  /** Bytes of socket buffer; the system's default when absent. */
  readonly receiveBuffer?: number;
}

/** Keeps the process alive until closed or unref'd. */
export class NetlinkWatch extends Handle {
  private constructor();
  ref(): this;
  unref(): this;
}

/**
 * Events of links and addresses, from the moment this returns: watch first, then list, and nothing is missed.
 * What `onEvent` throws becomes an uncaught exception.
 */
export function watch(onEvent: (event: NetlinkEvent) => void, options?: WatchOptions): NetlinkWatch;

/**
 * The id that the caller's network namespace has for another (name in /run/netns, or path).
 * Undefined when it has none and `assign` is not set; with `assign` one is given to it.
 */
export function netnsId(nameOrPath: string, options?: { readonly assign?: boolean }): number | undefined;
