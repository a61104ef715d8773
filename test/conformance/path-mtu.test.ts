/**
 * Path MTU by real packets: pods under policy, and a node on the way whose link takes less than theirs. What it answers,
 * "fragmentation needed" and "packet too big", must reach the pod that sent too much; the same about no connection must not.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { netns, socket } from '../../src/native.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { eventually } from '../support/eventually.ts';
import { checksum, ipFrame, tcpHeader } from '../support/kernel/packets.ts';
import { RealCluster } from '../support/kernel/real-cluster.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import { describeAsRoot } from '../support/privilege.ts';

/** Of the bridge on the other node: IPv6 needs 1280. */
const MTU = 1300;
const PORT = 7000;
const ETHERNET = 14;

const web = { matchLabels: { app: 'web' } };
const db = { matchLabels: { app: 'db' } };
const ports = [{ port: PORT, endPort: PORT + 9 }];

/** All of shop is isolated in both directions; web and db may connect to each other on a few ports. */
const policies = [
  policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  policy('shop/pair', {
    podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'db'] }] },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: [{ podSelector: web }, { podSelector: db }], ports }],
    egress: [{ to: [{ podSelector: web }, { podSelector: db }], ports }],
  }),
];

describeAsRoot('path MTU discovery of pods under policy', () => {
  let cluster: RealCluster;
  let streams: Stream[] = [];

  beforeAll(async () => {
    cluster = await RealCluster.start(cast);
    await cluster.update([...cast, ...policies]);
    const { namespace } = cluster.node('node2');
    netns.run(namespace, () => runSync('ip', ['link', 'set', 'cni0', 'mtu', `${MTU}`]));
  });

  afterAll(() => {
    for (const stream of streams) stream.close();
    cluster?.close();
  });

  for (const family of ['IPv4', 'IPv6'] as const) {
    it(`learns from errors about requests and about replies (${family})`, async () => {
      const [web, db] = [cluster.station('shop/web', family), cluster.station('shop/db', family)];
      streams = await Promise.all([
        openStream({ from: web, to: db, protocol: 'TCP', port: PORT, direction: 'up' }),
        openStream({ from: db, to: web, protocol: 'TCP', port: PORT + 1, direction: 'down' }),
      ]);
      for (const stream of streams) {
        // Many small messages at once make segments of full size.
        for (let i = 0; i < 20_000; i++) stream.send();
        await stream.arrived(stream.sent);
      }
      expect(pathMtus(web)).toEqual([MTU, MTU]);
      for (const stream of streams) stream.close();
      streams = [];
    });

    it(`drops errors about no connection of the pod (${family})`, async () => {
      const [web, db] = [cluster.station('shop/web', family), cluster.station('shop/db', family)];
      const node = cluster.node('node1');
      const unrelated = () => {
        const rows = node.kernel.counters().map(([key, values]) => {
          return node.dataplane.events.count(key, values, node.dataplane.generation);
        });
        return rows
          .filter(({ reason, pod }) => reason === 'drop-unrelated' && pod === 'shop/web')
          .reduce((sum, { packets }) => sum + Number(packets), 0);
      };
      const before = unrelated();
      sendError(cluster.node('node2').namespace, web, db);
      await eventually(() => expect(unrelated()).toBe(before + 1));
    });
  }
});

/** What the kernel has learnt for each connection of the pod. */
function pathMtus({ namespace, address }: Station): number[] {
  const text = netns.run(namespace, () => runSync('ss', ['-Htin', 'state', 'established', `src [${address}]`]));
  return [...text.matchAll(/pmtu:(\d+)/g)].map(([, mtu]) => Number(mtu));
}

/** From a node: one of the pod's packets, of a connection that there never was, is too big. */
function sendError(namespace: string, pod: Station, peer: Station): void {
  const family = pod.address.includes(':') ? 6 : 4;
  const protocol = family === 4 ? 1 : 58;
  const quoted = ipFrame(pod.address, peer.address, 6, tcpHeader(50_000, PORT, 'ACK')).subarray(ETHERNET);
  const message = Buffer.concat([Buffer.alloc(8), quoted]);
  message.set(family === 4 ? [3, 4] : [2, 0], 0);
  // IPv4 has the MTU in the last two bytes, IPv6 in the last four.
  message.writeUInt16BE(MTU, 6);
  if (family === 4) message.writeUInt16BE(checksum(message), 2);
  netns.run(namespace, () => {
    const fd = socket.open({ family, type: 'raw', protocol });
    socket.send(fd, message, { address: pod.address });
    socket.close(fd);
  });
}
