/**
 * Promise 2 by real packets that lie in the kernel's queues: what waits for a neighbour's hardware address, between the
 * hook where it left its pod and the one that judges it, while states come and go and the agent starts anew.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { netns, socket } from '../../src/native.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { eventually } from '../support/eventually.ts';
import { RealCluster } from '../support/kernel/real-cluster.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';

const web = { matchLabels: { app: 'web' } };
const back = { matchLabels: { tier: 'back' } };
/** Judged by the test's states; the other port is open in all of them and shows that what was sent before has come. */
const [PORT, OPEN] = [7000, 7001];
const ports = (...numbers: number[]) => numbers.map((port) => ({ protocol: 'UDP' as const, port }));

function admitting({ out, into }: { out: boolean; into: boolean }): ClusterObject[] {
  return [
    ...cast,
    policy('shop/web', {
      podSelector: web,
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: back }], ports: ports(...(out ? [PORT, OPEN] : [OPEN])) }],
    }),
    policy('shop/back', {
      podSelector: back,
      ingress: [{ from: [{ podSelector: web }], ports: ports(...(into ? [PORT, OPEN] : [OPEN])) }],
    }),
  ];
}

/** web's label and the rule that asks for it. */
function coloured(label: string, admitted: string): ClusterObject[] {
  const labels = { app: 'web', tier: 'front', colour: label };
  const objects = cast.map((object) =>
    object.kind === 'Pod' && object.metadata.name === 'web' && object.metadata.namespace === 'shop'
      ? { ...object, metadata: { ...object.metadata, labels } }
      : object,
  );
  const byColour = { from: [{ podSelector: { matchLabels: { colour: admitted } } }], ports: ports(PORT) };
  const open = { from: [{ podSelector: web }], ports: ports(OPEN) };
  return [...objects, policy('shop/back', { podSelector: back, ingress: [byColour, open] })];
}

const ALL = admitting({ out: true, into: true });
const NONE = admitting({ out: false, into: false });

const HELD: readonly { name: string; first: ClusterObject[]; last: ClusterObject[]; arrives: boolean }[] = [
  { name: 'admitted all the while', first: ALL, last: ALL, arrives: true },
  { name: 'denied when it goes on', first: ALL, last: NONE, arrives: false },
  { name: 'admitted when it goes on', first: NONE, last: ALL, arrives: true },
  {
    name: 'egress tightens while ingress opens',
    first: admitting({ out: true, into: false }),
    last: admitting({ out: false, into: true }),
    arrives: false,
  },
  {
    name: 'ingress tightens while egress opens',
    first: admitting({ out: false, into: true }),
    last: admitting({ out: true, into: false }),
    arrives: false,
  },
  {
    name: 'a label and its rule together',
    first: coloured('red', 'red'),
    last: coloured('blue', 'blue'),
    arrives: true,
  },
  { name: 'a label and its rule apart', first: coloured('red', 'blue'), last: coloured('blue', 'red'), arrives: false },
];

describeAsRoot('a packet that waits for a neighbour', () => {
  let cluster: RealCluster;
  let sender: Socket;
  const ways: Way[] = [];

  beforeAll(async () => {
    cluster = await RealCluster.start(cast);
    const from = cluster.station('shop/web', 'IPv4');
    sender = await bound(from, 0);
    for (const name of ['shop/api', 'shop/db']) ways.push(await Way.to(cluster, from, name));
  });

  afterAll(() => {
    sender?.close();
    for (const way of ways) way.close();
    cluster?.close();
  });

  for (const { name, first, last, arrives } of HELD) {
    it(`is judged by a whole state: ${name}`, async () => {
      await cluster.update(first);
      for (const way of ways) {
        way.hold();
        await way.send(sender, PORT);
      }
      await eventually(() => expect(ways.map((way) => way.waiting)).toEqual([true, true]));
      for (const state of [last, NONE, first, ALL, last]) await cluster.update(state);
      await cluster.node('node1').restart();
      for (const way of ways) {
        way.release();
        await way.send(sender, OPEN);
        await way.arrived(OPEN);
        expect({ to: way.to.name, arrives: way.has(PORT) }).toEqual({ to: way.to.name, arrives });
      }
    });
  }
});

/** From web by way of its node, whose next hop is not known while packets are held. */
class Way {
  readonly to: Station;
  readonly #node: string;
  readonly #neighbour: readonly string[];
  readonly #hardware: string;
  readonly #sockets = new Map<number, Socket>();
  readonly #arrived = new Map<number, number>();

  static async to(cluster: RealCluster, from: Station, pod: string): Promise<Way> {
    const way = new Way(cluster, from, cluster.station(pod, 'IPv4'));
    for (const port of [PORT, OPEN]) {
      const opened = await bound(way.to, port);
      way.#sockets.set(port, opened);
      opened.on('message', () => way.#arrived.set(port, (way.#arrived.get(port) ?? 0) + 1));
    }
    return way;
  }

  private constructor(cluster: RealCluster, from: Station, to: Station) {
    this.to = to;
    this.#node = cluster.node('node1').namespace;
    const gateway = /via (\S+)/.exec(ip(from.namespace, 'route', 'show', 'default'))?.[1] as string;
    // Also to a pod of the same subnet: else it would ask for the hardware address itself, before any hook.
    ip(from.namespace, 'route', 'replace', `${to.address}/32`, 'via', gateway, 'dev', 'eth0');
    const [, hop = to.address, device] = /(?:via (\S+) )?dev (\S+)/.exec(
      ip(this.#node, 'route', 'get', to.address),
    ) as unknown as [string, string | undefined, string];
    this.#neighbour = [hop, 'dev', device];
    this.#hardware =
      /lladdr (\S+)/.exec(ip(this.#node, 'neigh', 'show', ...this.#neighbour))?.[1] ??
      (/link\/ether (\S+)/.exec(ip(to.namespace, 'link', 'show', 'eth0'))?.[1] as string);
    netns.run(this.#node, () => {
      // The node asks in vain for longer than the test takes.
      writeFileSync(`/proc/sys/net/ipv4/neigh/${device}/mcast_solicit`, '1000');
      writeFileSync(`/proc/sys/net/ipv4/conf/${device}/send_redirects`, '0');
    });
    // Nobody answers in a tunnel; the pod would.
    if (hop === to.address)
      netns.run(to.namespace, () => writeFileSync('/proc/sys/net/ipv4/conf/eth0/arp_ignore', '8'));
  }

  hold(): void {
    ip(this.#node, 'neigh', 'replace', ...this.#neighbour, 'lladdr', this.#hardware, 'nud', 'permanent');
    ip(this.#node, 'neigh', 'del', ...this.#neighbour);
    this.#arrived.clear();
  }

  /** Whether the node has a packet for the neighbour and no hardware address. */
  get waiting(): boolean {
    return ip(this.#node, 'neigh', 'show', ...this.#neighbour).includes('INCOMPLETE');
  }

  release(): void {
    ip(this.#node, 'neigh', 'replace', ...this.#neighbour, 'lladdr', this.#hardware, 'nud', 'permanent');
  }

  async send(sender: Socket, port: number): Promise<void> {
    await new Promise((sent) => sender.send('held', port, this.to.address, sent));
  }

  async arrived(port: number): Promise<void> {
    if (!this.#arrived.has(port)) await once(this.#sockets.get(port) as Socket, 'message');
    // What else had come by then has been read when this turn of the loop ends.
    await new Promise((resolve) => setImmediate(resolve));
  }

  has(port: number): boolean {
    return this.#arrived.has(port);
  }

  close(): void {
    for (const opened of this.#sockets.values()) opened.close();
  }
}

async function bound({ address, namespace }: Station, port: number): Promise<Socket> {
  const fd = netns.run(namespace, () => socket.open({ family: 4, type: 'udp', bind: { address, port } }));
  const opened = createSocket('udp4');
  const listening = once(opened, 'listening');
  opened.bind({ fd, exclusive: true });
  await listening;
  return opened;
}

function ip(namespace: string, ...args: readonly string[]): string {
  return netns.run(namespace, () => runSync('ip', ['-4', ...args]));
}
