/**
 * What a flood at one pod does to that pod's own connections: their entries are evicted from its table, and where the
 * kernel's conntrack can be asked, nothing that policy admits breaks. Real connections and a real flood, each datagram
 * of it answered. SELVEDGE_FLOOD_STREAMS=1000 SELVEDGE_FLOOD=1000000 is the long run.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { netns, socket } from '../../src/native.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { FlowEntries } from '../support/kernel/flow-entries.ts';
import { RealCluster, type RealNode } from '../support/kernel/real-cluster.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import { describeAsRoot } from '../support/privilege.ts';

const STREAMS = Number(process.env.SELVEDGE_FLOOD_STREAMS ?? 100);
/** More would fill the kernel's own table for the node (nf_conntrack_max), which then drops new connections, whoever's. */
const FLOOD = Math.min(Number(process.env.SELVEDGE_FLOOD ?? 10_000), 200_000);
/** Datagrams that are sent before their answers are waited for; a socket's buffer holds as many. */
const BURST = 100;
const ECHO = 9;
/** At most that many floods until an entry is gone. */
const ROUNDS = 6;
/** Source ports of a flood, for each port of the server. */
const SOURCES = 60_000;
const PORTS = Math.ceil((ROUNDS * FLOOD) / SOURCES);

describeAsRoot('a flood at a server', () => {
  let cluster: RealCluster;
  let streams: Stream[] = [];

  beforeAll(async () => {
    cluster = await RealCluster.start(cast);
    for (const { namespace } of cluster.nodes) {
      netns.run(namespace, () => {
        // A rule that asks for states is what makes the kernel track connections; each node that runs kube-proxy has some.
        runSync('iptables', ['-w', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'ACCEPT']);
      });
    }
  });

  afterAll(() => {
    for (const stream of streams) stream.close();
    cluster?.close();
  });

  it('breaks none of its own connections that policy admits', { timeout: 120_000 + FLOOD }, async () => {
    const [server, peer] = [cluster.station('shop/api', 'IPv4'), cluster.station('audit/scan', 'IPv4')];
    await cluster.update(cast);
    streams = await Promise.all(
      Array.from({ length: STREAMS }, (_, place) => {
        const protocol = place % 4 === 3 ? ('UDP' as const) : ('TCP' as const);
        // The server has opened them and only listens: what comes to it is admitted as replies or not at all.
        return openStream({ from: server, to: peer, protocol, port: 10_000 + place, direction: 'down' });
      }),
    );
    const node = cluster.node('node1');
    const before = ownEntries(node, streams);
    // Which entries go is the kernel's choice: those first that nobody has looked up since.
    let after = before;
    for (let flooded = 0; flooded < FLOOD || (after === before && flooded < ROUNDS * FLOOD); flooded += FLOOD) {
      await flood(cluster.station('shop/web', 'IPv4'), server, flooded);
      after = ownEntries(node, streams);
    }

    await cluster.update([...cast, policy('shop/api', { podSelector: { matchLabels: { app: 'api' } } })]);
    for (const stream of streams) stream.send();
    await Promise.all(streams.map((stream) => stream.arrived(2)));
    console.log(`${FLOOD} answered: ${after} of ${before} entries left, all ${STREAMS} connections go on`);
    expect(before).toBe(STREAMS);
    expect(after).toBeLessThan(STREAMS);
  });
});

/** How many of the connections the flow tables of the node's pods have as their own. */
function ownEntries({ kernel }: RealNode, streams: readonly Stream[]): number {
  const ports = new Set(streams.map(({ sourcePort, options }) => `${sourcePort} ${options.port}`));
  const outer = kernel.object.map('flows4');
  let count = 0;
  for (const [slot] of outer.entries()) {
    using table = outer.getInner(slot);
    if (table === undefined) continue;
    for (const { key } of new FlowEntries(table, kernel.object.layout)) {
      if (ports.has(`${key.local_port} ${key.peer_port}`)) count++;
    }
  }
  return count;
}

/** Datagrams to the server from one source port after the other; each is answered, asks again and is answered again. */
async function flood(from: Station, to: Station, first: number): Promise<void> {
  const echo = await echoing(to);
  const raw = netns.run(from.namespace, () => socket.open({ family: 4, type: 'raw', protocol: 17 }));
  try {
    for (let begun = 0; begun < FLOOD; begun += BURST) {
      for (const round of [1, 2]) {
        for (let i = first + begun; i < first + begun + BURST; i++)
          socket.send(raw, question(i), { address: to.address });
        await echo.answered(2 * begun + round * BURST);
      }
    }
  } finally {
    socket.close(raw);
    echo.close();
  }
}

/** An empty UDP datagram with its header, from and to ports of its own for each number. */
function question(i: number): Buffer {
  const datagram = Buffer.alloc(12);
  datagram.writeUInt16BE(1024 + (i % SOURCES), 0);
  datagram.writeUInt16BE(ECHO + (Math.floor(i / SOURCES) % PORTS), 2);
  datagram.writeUInt16BE(datagram.length, 4);
  return datagram;
}

/** Answers every datagram at as many ports as the flood needs. */
async function echoing({ namespace, address }: Station) {
  const sockets: Socket[] = [];
  let count = 0;
  let wake = () => {};
  for (let port = ECHO; port < ECHO + PORTS; port++) {
    const fd = netns.run(namespace, () => socket.open({ family: 4, type: 'udp', bind: { address, port } }));
    const opened = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    opened.on('error', () => {});
    opened.on('message', (message, asker) => {
      opened.send(message, asker.port, asker.address, () => {
        count++;
        wake();
      });
    });
    const listening = once(opened, 'listening');
    opened.bind({ fd, exclusive: true });
    await listening;
    sockets.push(opened);
  }
  return {
    /** Resolves when that many have been answered. */
    answered: async (wanted: number) => {
      while (count < wanted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    close: () => {
      for (const opened of sockets) opened.close();
    },
  };
}
