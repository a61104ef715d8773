/**
 * Sorts the node's interfaces by what passes through them: the host's ends of pods' veths, the ways out of the node,
 * and the rest (loopback, the bridges that only join pods), which need no program.
 */
import type { Address } from '../model/address.ts';
import { familyOf } from '../model/address.ts';

/** What of an interface the choice depends on. */
export interface LinkFacts {
  readonly ifindex: number;
  readonly name: string;
  readonly kind?: string | undefined;
  readonly loopback: boolean;
  /** ifindex of the bridge it is a port of. */
  readonly master?: number | undefined;
  /** Set when the other end is in another network namespace. */
  readonly peerNetnsId?: number | undefined;
  readonly addresses: readonly { readonly address: Address; readonly prefixLength: number }[];
}

export type LinkRole = 'pod' | 'exit' | 'none';

/**
 * A veth into another namespace is a pod's when it is a bridge port, or has no network of its own (the ptp plugins give
 * the host's end nothing or one single address); a veth that holds an address with a network is an uplink, as on nodes that
 * are containers themselves. A bridge is a way out unless pods hang on it: what crosses it to them is judged at their veths.
 *
 * @param notPods names of interfaces that are none although they look like it, and of bridges none of whose ports are
 */
export function classify(links: readonly LinkFacts[], notPods: NameTest = () => false): ReadonlyMap<number, LinkRole> {
  const others = new Set(links.filter(({ name }) => notPods(name)).map((link) => link.ifindex));
  const isOther = ({ ifindex, master = 0 }: LinkFacts) => others.has(ifindex) || others.has(master);
  const pods = new Set(links.filter((link) => isPodLink(link) && !isOther(link)).map((link) => link.ifindex));
  const podBridges = new Set(links.filter((link) => pods.has(link.ifindex)).map((link) => link.master));
  return new Map(
    links.map((link) => {
      if (pods.has(link.ifindex)) return [link.ifindex, 'pod'];
      // What goes to the ports of such a bridge passes the bridge itself, or is not a pod's.
      const isNone = link.loopback || podBridges.has(link.ifindex) || others.has(link.master ?? 0);
      return [link.ifindex, isNone ? 'none' : 'exit'];
    }),
  );
}

export type NameTest = (name: string) => boolean;

/** @param names of interfaces; the last character may be a `*` that stands for any rest */
export function nameTest(names: readonly string[]): NameTest {
  const whole = new Set(names);
  const starts = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return (name) => whole.has(name) || starts.some((start) => name.startsWith(start));
}

/** `10.9.0.1/24`: what makes a veth into another namespace a way out and no pod's; undefined of any other link. */
export function networkOf(link: LinkFacts): string | undefined {
  if (link.kind !== 'veth' || link.peerNetnsId === undefined || link.master !== undefined) return undefined;
  const network = link.addresses.find(hasNetwork);
  return network && `${network.address}/${network.prefixLength}`;
}

function isPodLink(link: LinkFacts): boolean {
  if (link.kind !== 'veth' || link.peerNetnsId === undefined) return false;
  return link.master !== undefined || !link.addresses.some(hasNetwork);
}

function hasNetwork({ address, prefixLength }: { address: Address; prefixLength: number }): boolean {
  if (/^fe[89ab]/.test(address)) return false;
  return prefixLength < (familyOf(address) === 4 ? 32 : 128);
}
