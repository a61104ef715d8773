/** The network namespaces of a bridge with pods: made by iproute2, removed by name. */
import { writeFileSync } from 'node:fs';
import { runSync } from '../../../src/child-process.ts';
import { netlink, netns } from '../../../src/native.ts';
import { NODE, POD_NAMES, PODS, type PodName } from './cast.ts';

/** A pod's place on this machine. */
export interface Seat {
  readonly namespace: string;
  /** Index of eth0 in there. */
  readonly inside: number;
  /** Index of the node's end, a port of the bridge. */
  readonly ifindex: number;
}

export interface TopologyOptions {
  /** Whether the node's iptables see bridged packets, as Flannel asks for: the kernel then checks IP headers itself. */
  readonly bridgeNetfilter?: boolean;
  /** Whether the kernels of pods and node have their addresses, and answer; else only the test's frames are sent. */
  readonly addressed?: boolean;
}

/** Room for a frame that does not fit into one page, whose headers can lie outside of the linear part. */
const MTU = 9000;

export function makeTopology(node: string, { bridgeNetfilter = false, addressed = false }: TopologyOptions): void {
  ip([`netns add ${node}`, ...POD_NAMES.map((name) => `netns add ${namespaceOf(node, name)}`)]);
  // Before the pairs are made: a device takes its settings from what is the default at that moment.
  for (const name of POD_NAMES) netns.run(namespaceOf(node, name), () => quiet(addressed));
  netns.run(node, () => {
    for (const table of ['iptables', 'ip6tables', 'arptables']) {
      setting(`bridge/bridge-nf-call-${table}`, bridgeNetfilter);
    }
    quiet(addressed);
    ip([
      `link add cni0 mtu ${MTU} address ${colons(NODE.mac)} type bridge mcast_snooping 0`,
      ...POD_NAMES.flatMap((name) => [
        `link add v${name} mtu ${MTU} type veth ${peerOf(node, name)}`,
        `link set v${name} master cni0 up`,
      ]),
      'link set lo up',
      'link set cni0 up',
      ...(addressed ? addressesOf(NODE.addresses, 'cni0') : []),
    ]);
  });
  for (const name of POD_NAMES) {
    netns.run(namespaceOf(node, name), () => {
      ip(['link set lo up', 'link set eth0 up', ...(addressed ? addressesOf(PODS[name].addresses, 'eth0') : [])]);
    });
  }
}

export function seatOf(node: string, name: PodName): Seat {
  const namespace = namespaceOf(node, name);
  const indexOf = (where: string, device: string) => {
    return netns.run(where, () => netlink.links().find((link) => link.name === device)?.ifindex) as number;
  };
  return { namespace, inside: indexOf(namespace, 'eth0'), ifindex: indexOf(node, `v${name}`) };
}

/** Removes what there is of it. */
export function removeTopology(node: string): void {
  const names = [...POD_NAMES.map((name) => namespaceOf(node, name)), node];
  runSync('ip', ['-force', '-batch', '-'], { input: names.map((name) => `netns delete ${name}`).join('\n') });
}

function peerOf(node: string, name: PodName): string {
  return `peer name eth0 mtu ${MTU} address ${colons(PODS[name].mac)} netns ${namespaceOf(node, name)}`;
}

function namespaceOf(node: string, name: PodName): string {
  return `${node}-${name}`;
}

/**
 * No packets of the kernel's own where it has no addresses; where it has some, they are usable at once, and it sends
 * nothing unasked: what its timers send to all would be dropped by a closed interface, with an event, at any moment.
 */
function quiet(addressed: boolean): void {
  for (const where of ['all', 'default']) {
    setting(`ipv6/conf/${where}/disable_ipv6`, !addressed);
    setting(`ipv6/conf/${where}/accept_dad`, false);
    setting(`ipv6/conf/${where}/accept_ra`, false);
    setting(`ipv6/conf/${where}/router_solicitations`, false);
  }
  // Multicast listener reports have no switch.
  if (addressed) runSync('ip6tables', ['-A', 'OUTPUT', '-p', 'icmpv6', '--icmpv6-type', '143', '-j', 'DROP']);
}

function setting(name: string, value: boolean): void {
  writeFileSync(`/proc/sys/net/${name}`, value ? '1' : '0');
}

function addressesOf(addresses: Readonly<Record<4 | 6, string>>, device: string): string[] {
  return [`address add ${addresses[4]}/24 dev ${device}`, `address add ${addresses[6]}/64 dev ${device} nodad`];
}

export function ip(lines: readonly string[]): void {
  runSync('ip', ['-batch', '-'], { input: lines.join('\n') });
}

function colons(mac: string): string {
  return (mac.match(/../g) as string[]).join(':');
}
