/**
 * A node whose pods are the ports of a bridge: a packet is put in at one port and either comes out at another or not, with
 * the real rules and sets between. The uplink is a port too, so that nothing is routed and any address may be anybody's.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Frame, PacketSocket } from 'selvedge-libbpf';
import type { IpsetDataplane } from '../../../../src/dataplane/ipset/ipset-dataplane.ts';
import { type OpenOptions, openIpsetDataplane } from '../../../../src/dataplane/ipset/open.ts';
import type { ObjectKey } from '../../../../src/model/cluster.ts';
import { netlink, netns } from '../../../../src/native.ts';
import type { SiteNode } from '../../../support/kernel/site.ts';
import { ip, TestNamespace } from '../../../support/kernel/test-namespace.ts';
import { PATIENCE } from '../../../support/patience.ts';

export const SEATS = 20;
const FIRST_INDEX = 100;
const UPLINK = FIRST_INDEX + SEATS;

/** An ARP question of nobody: what comes out behind a packet if the packet does not. */
const MARKER = 0x0806;

export class PacketNode implements SiteNode {
  readonly namespace: TestNamespace;
  readonly dataplane: IpsetDataplane;
  readonly exit = { ifindex: UPLINK, name: portName(UPLINK) };
  readonly #sockets = new Map<number, PacketSocket>();
  #seats: ReadonlyMap<ObjectKey, number> = new Map();

  private constructor(namespace: TestNamespace, dataplane: IpsetDataplane) {
    this.namespace = namespace;
    this.dataplane = dataplane;
    const links = namespace.run(() => netlink.links());
    for (const ifindex of PORTS) {
      const peer = links.find(({ name }) => name === `${portName(ifindex)}p`) as netlink.Link;
      const socket = namespace.run(() => new PacketSocket({ ifindex: peer.ifindex, promiscuous: true }));
      this.#sockets.set(ifindex, socket);
    }
  }

  static async open(purpose: string, options: OpenOptions): Promise<PacketNode> {
    const namespace = new TestNamespace(purpose, []);
    try {
      namespace.run(layOut);
      return new PacketNode(namespace, await PacketNode.openDataplane(namespace, options));
    } catch (error) {
      namespace.close();
      throw error;
    }
  }

  static async openDataplane(namespace: TestNamespace, options: OpenOptions): Promise<IpsetDataplane> {
    const within = <T>(start: () => T) => netns.run(namespace.name, start);
    return (await openIpsetDataplane({ auditEvery: 0, ...options, within })).dataplane;
  }

  /** Runs a program in the node's network namespace. */
  command(name: string, ...args: readonly string[]): string {
    return this.namespace.run(() => execFileSync(name, args, { encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }));
  }

  seatsOf(pods: Iterable<ObjectKey>): ReadonlyMap<ObjectKey, number> {
    const wanted = [...pods];
    const kept = new Set(wanted.flatMap((pod) => this.#seats.get(pod) ?? []));
    const free = PORTS.filter((ifindex) => ifindex !== UPLINK && !kept.has(ifindex));
    this.#seats = new Map(wanted.map((pod) => [pod, this.#seats.get(pod) ?? (free.shift() as number)]));
    return this.#seats;
  }

  seatOf(pod: ObjectKey): number {
    const seat = this.#seats.get(pod);
    if (seat === undefined) throw new Error(`${pod} has no port`);
    return seat;
  }

  /**
   * Whether a frame that is sent from one port comes out at the other; its Ethernet addresses are set to theirs.
   * @throws Error nothing comes out, not even what every policy admits
   */
  passes(frame: Buffer, from: number, to: number, patience = PATIENCE): boolean {
    const sent = addressed(frame, from, to);
    const marker = addressed(arpProbe(), from, to);
    const [source, target] = [this.#socket(from), this.#socket(to)];
    source.send(sent);
    source.send(marker);
    let passed = false;
    for (;;) {
      const arrived = target.receive(patience);
      if (arrived === undefined) throw new Error(`nothing comes from port ${from} to port ${to}`);
      if (arrived.packetType === 'outgoing') continue;
      if (sameStart(arrived.data, marker)) return passed;
      if (sameStart(whole(arrived), sent)) passed = true;
    }
  }

  /** Sends a frame as it is. */
  put(frame: Buffer, port: number): void {
    this.#socket(port).send(frame);
  }

  close(): void {
    this.dataplane.close();
    for (const socket of this.#sockets.values()) socket.close();
    this.namespace.close();
  }

  #socket(port: number): PacketSocket {
    return this.#sockets.get(port) as PacketSocket;
  }
}

export const PORTS: readonly number[] = Array.from({ length: SEATS + 1 }, (_, index) => FIRST_INDEX + index);

export function portName(ifindex: number): string {
  return `seat${ifindex}`;
}

export function macOfPort(ifindex: number): Buffer {
  return Buffer.from([2, 0, 0, 0, 0, ifindex]);
}

function layOut(): void {
  const settings = {
    'netfilter/nf_conntrack_checksum': '0',
    // Without ports every packet between two pods would be of one connection, and the second question a reply.
    'netfilter/nf_conntrack_generic_timeout': '0',
    'netfilter/nf_conntrack_gre_timeout': '0',
    'netfilter/nf_conntrack_gre_timeout_stream': '0',
    'bridge/bridge-nf-call-iptables': '1',
    'bridge/bridge-nf-call-ip6tables': '1',
    'ipv6/conf/all/disable_ipv6': '1',
    'ipv6/conf/default/disable_ipv6': '1',
  };
  for (const [name, value] of Object.entries(settings)) writeFileSync(`/proc/sys/net/${name}`, value);
  const lines = [
    'link set lo up',
    'link add cni0 type bridge mcast_snooping 0',
    'link set cni0 up',
    ...PORTS.flatMap((port) => [
      `link add ${portName(port)} index ${port} type veth peer name ${portName(port)}p`,
      `link set ${portName(port)} master cni0 up`,
      `link set ${portName(port)} type bridge_slave learning off flood off`,
      `link set ${portName(port)}p up`,
    ]),
  ];
  ip(['-batch', '-'], lines.join('\n'));
  const entries = PORTS.map((port) => `fdb add ${macText(port)} dev ${portName(port)} master static`);
  execFileSync('bridge', ['-batch', '-'], { input: entries.join('\n'), stdio: ['pipe', 'pipe', 'pipe'] });
}

function macText(port: number): string {
  return macOfPort(port)
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');
}

function addressed(frame: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.from(frame);
  copy.set(macOfPort(to), 0);
  copy.set(macOfPort(from), 6);
  return copy;
}

let probes = 0;

/** Asks from no address, as who looks whether an address is taken; each one differs. */
function arpProbe(): Buffer {
  const frame = Buffer.alloc(60);
  frame.writeUInt16BE(MARKER, 12);
  Buffer.from('0001080006040001', 'hex').copy(frame, 14);
  frame.writeUInt32BE(++probes, 38);
  return frame;
}

/** A short frame may come with padding. */
function sameStart(arrived: Buffer, sent: Buffer): boolean {
  return arrived.length >= sent.length && arrived.subarray(0, sent.length).equals(sent);
}

/** With the tag that the kernel has taken out. */
function whole({ data, vlan }: Frame): Buffer {
  if (vlan === undefined) return data;
  const tag = Buffer.alloc(4);
  tag.writeUInt16BE(vlan.tpid, 0);
  tag.writeUInt16BE(vlan.tci, 2);
  return Buffer.concat([data.subarray(0, 12), tag, data.subarray(12)]);
}
