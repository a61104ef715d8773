/**
 * What one network namespace of a lab is made of, as commands for iproute2: a plan is compared with the one in place,
 * and only the difference is run.
 */
import { type Address, addressOf, type Family, familyOf } from '../../model/address.ts';
import type { ObjectKey } from '../../model/cluster.ts';

export type Place =
  | { readonly kind: 'wire' }
  | { readonly kind: 'outside' }
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'pod'; readonly node: string; readonly pod: ObjectKey };

/** Something that may come and go while its namespace stays: a route, a neighbour, an address. */
export interface Entry {
  readonly program: 'ip' | 'bridge';
  readonly add: string;
  readonly remove: string;
}

/** A veth pair into the namespace, made in another one. */
export interface Cable {
  /** The namespace in which its other end stays. */
  readonly parent: string;
  /** The name of the end there, a port of this bridge. */
  readonly port: string;
  readonly bridge: string;
  readonly attach: readonly string[];
  readonly detach: string;
}

/** Lines are commands of `ip -batch`, run in the namespace in this order. */
export interface NamespacePlan {
  /** As in /run/netns. */
  readonly name: string;
  readonly place: Place;
  /** Below /proc/sys/net, written before any interface is there. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly cable?: Cable;
  /** Interfaces of its own; those that the others hang on. */
  readonly links: readonly string[];
  /** What is done once every cable is in: addresses, up. */
  readonly setup: readonly string[];
  readonly entries: readonly Entry[];
}

/** Whether a namespace must be made anew: everything but its entries can only be had that way. */
export function sameBase(a: NamespacePlan, b: NamespacePlan): boolean {
  const baseOf = ({ sysctls, cable, links, setup }: NamespacePlan) => JSON.stringify([sysctls, cable, links, setup]);
  return baseOf(a) === baseOf(b);
}

export const DEFAULT_ROUTES: Readonly<Record<Family, string>> = { 4: '0.0.0.0/0', 6: '::/0' };

/**
 * An address that can be used as soon as the command is done. Without `nodad` the kernel leaves even that of an interface
 * without duplicate address detection to a worker of its own.
 */
export function assign(address: Address, length: number, device: string): string {
  return `address add ${address}/${length} dev ${device}${familyOf(address) === 6 ? ' nodad' : ''}`;
}

/** The link-local address that the interface's Ethernet address implies, usable at once like any other. */
export function assignLinkLocal(mac: string, device: string): string {
  return assign(linkLocalOf(mac), 64, device);
}

/** The address that the kernel makes of an Ethernet address (EUI-64). */
export function linkLocalOf(mac: string): Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  return addressOf(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}

/**
 * The kernel listens for neighbour solicitations of a new IPv6 address a little later than it has the address; one that
 * comes too early would be repeated only after a second. As before it is longer than a probe until a neighbour that
 * does not answer is given up, so that this is silence too.
 */
export function impatientNeighbours(device: string): string[] {
  return ['arp_cache', 'ndisc_cache'].map((table) => {
    return `ntable change name ${table} dev ${device} retrans 100 mcast_probes 30`;
  });
}

/** `route replace PREFIX REST`, and its removal. */
export function route(prefix: string, rest: string): Entry {
  return { program: 'ip', add: `route replace ${prefix} ${rest}`, remove: `route del ${prefix} ${rest}` };
}

/**
 * Duplicate address detection would keep addresses unusable for a second; in a lab no two hosts share one. Link-local
 * addresses are assigned like the others (`addr_gen_mode` 1: the kernel makes none).
 * IPv4's settings are copied from the machine's when a namespace is made, so those that matter are set.
 */
export const HOST_SYSCTLS: Readonly<Record<string, string>> = {
  'ipv4/conf/all/rp_filter': '0',
  'ipv4/conf/default/rp_filter': '0',
  'ipv4/conf/all/accept_redirects': '0',
  'ipv4/conf/default/accept_redirects': '0',
  'ipv6/conf/all/disable_ipv6': '0',
  'ipv6/conf/default/disable_ipv6': '0',
  'ipv6/conf/default/accept_dad': '0',
  'ipv6/conf/default/addr_gen_mode': '1',
  'ipv6/conf/default/accept_ra': '0',
  'ipv6/conf/all/accept_redirects': '0',
  'ipv6/conf/default/accept_redirects': '0',
};

export const ROUTER_SYSCTLS: Readonly<Record<string, string>> = {
  ...HOST_SYSCTLS,
  'ipv4/ip_forward': '1',
  'ipv4/conf/all/send_redirects': '0',
  'ipv4/conf/default/send_redirects': '0',
  'ipv6/conf/all/forwarding': '1',
  'ipv6/conf/default/forwarding': '1',
};
