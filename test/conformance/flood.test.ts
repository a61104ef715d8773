/**
 * A pod that opens connections as fast as it can, each answered, cuts none of its neighbours': their flows are in tables of
 * their own. SELVEDGE_FLOOD=1000000 is the long run.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { policy } from '../support/cases/case.ts';
import { cast, OUTSIDE } from '../support/cases/cast.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { type KernelNode, KernelSite } from '../support/kernel/kernel-site.ts';
import { ipFrame, type TcpFlag, tcpHeader } from '../support/kernel/packets.ts';
import { enforce } from '../support/kernel/site.ts';
import { describeAsRoot } from '../support/privilege.ts';

const flood = Number(process.env.SELVEDGE_FLOOD ?? 10_000);
/** Connections that the neighbour and the server have besides. */
const ACTIVE = 1_000;
/** New connections between two packets of an active one: a second's worth of them. */
const BETWEEN = Math.min(flood / 4, 50_000);
const FLOWS_PER_ENDPOINT = 4096;

interface Connection {
  /** Of the side that opened it; the other one is 443 or, for the flood, one of many. */
  readonly sourcePort: number;
  readonly port: number;
}

describeAsRoot('a flood of answered connections', () => {
  let site: KernelSite;

  beforeAll(() => {
    site = new KernelSite('flood', FLOWS_PER_ENDPOINT);
  });

  afterAll(() => site?.close());

  it('cuts no connection of a neighbour', { timeout: 120_000 + flood / 5 }, async () => {
    const cluster = new TestCluster([
      ...cast,
      // Replies pass, or the connections are gone: nothing else may come in.
      policy('shop/web', { podSelector: { matchLabels: { app: 'web' } } }),
      policy('audit/web', { podSelector: { matchLabels: { app: 'web' } } }),
    ]);
    await enforce(site, cluster);
    const node = await site.node('node1');
    const pods = new Pods(node, cluster);
    const [neighbour, flooder, server] = [pods.find('shop/web'), pods.find('audit/web'), pods.find('shop/api')];
    const outside = { address: OUTSIDE.near4 as Address, ifindex: site.uplink };
    const active = Array.from({ length: ACTIVE }, (_, i) => ({ sourcePort: 10_000 + i, port: 443 }));

    site.namespace.run(() => {
      for (const connection of active) {
        expect(connect(node, neighbour, connection)).toBe(true);
        expect(connect(node, server, connection)).toBe(true);
      }
    });
    // A set of entries may be full by chance, of some thousand: a connection or two.
    const kept = site.namespace.run(() => active.filter((connection) => replies(node, neighbour, connection)));
    expect(kept.length).toBeGreaterThan(ACTIVE - 10);
    let lost = 0;
    for (let opened = 0; opened < flood; opened += BETWEEN) {
      site.namespace.run(() => {
        for (let i = opened; i < opened + BETWEEN; i++) exchange(node, flooder, server, manyPorts(i));
        lost += kept.filter((connection) => !replies(node, neighbour, connection)).length;
      });
    }
    expect(lost).toBe(0);

    // The flooded server's own connections may be gone from its table; policy would have to admit their replies.
    await enforce(
      site,
      new TestCluster([...cast, policy('shop/api', { podSelector: { matchLabels: { app: 'api' } } })]),
    );
    const left = site.namespace.run(() => active.filter((connection) => replies(node, server, connection)).length);
    console.log(
      `${flood} connections opened: of ${kept.length} others the neighbour lost ${lost}, the server kept ${left}`,
    );

    /** The neighbour's, or the server's, connection to somebody outside: its SYN and the answer. */
    function connect(at: KernelNode, pod: End, connection: Connection): boolean {
      const sent = send(at, pod, outside, connection, ['SYN']);
      return sent && replies(at, pod, connection, ['SYN', 'ACK']);
    }

    function replies(at: KernelNode, pod: End, connection: Connection, flags: TcpFlag[] = ['ACK']): boolean {
      const { sourcePort, port } = connection;
      const packet = ipFrame(outside.address, pod.address, 6, tcpHeader(port, sourcePort, ...flags));
      return at.run({ hook: 'to_pod', packet, ifindex: pod.ifindex, ingressIfindex: outside.ifindex, mark: 0 }).passed;
    }
  });
});

interface End {
  readonly address: Address;
  readonly ifindex: number;
}

class Pods {
  readonly #node: KernelNode;
  readonly #cluster: TestCluster;

  constructor(node: KernelNode, cluster: TestCluster) {
    this.#node = node;
    this.#cluster = cluster;
  }

  find(pod: string): End {
    const place = this.#cluster.placeOf(pod, 'IPv4');
    return { address: place?.address as Address, ifindex: this.#node.seatOf(pod as ObjectKey) };
  }
}

/** A connection of its own for each number below 2^30. */
function manyPorts(i: number): Connection {
  return { sourcePort: 1024 + (i % 60_000), port: 1 + Math.floor(i / 60_000) };
}

/** From a pod to somewhere outside. */
function send(node: KernelNode, from: End, to: End, { sourcePort, port }: Connection, flags: TcpFlag[]): boolean {
  const packet = ipFrame(from.address, to.address, 6, tcpHeader(sourcePort, port, ...flags));
  return node.run({ hook: 'from_pod', packet, ifindex: from.ifindex, ingressIfindex: from.ifindex, mark: 0 }).passed;
}

/** A handshake between two pods of the node. */
function exchange(node: KernelNode, client: End, server: End, { sourcePort, port }: Connection): void {
  const there = (...flags: TcpFlag[]) =>
    ipFrame(client.address, server.address, 6, tcpHeader(sourcePort, port, ...flags));
  node.pass(there('SYN'), client.ifindex, server.ifindex);
  const answer = ipFrame(server.address, client.address, 6, tcpHeader(port, sourcePort, 'SYN', 'ACK'));
  node.pass(answer, server.ifindex, client.ifindex);
  node.pass(there('ACK'), client.ifindex, server.ifindex);
}
