/** Real connections through real nodes: over the bridge of one node, by VXLAN to the other and out of the cluster. */
import { afterEach, expect, it } from 'vitest';
import { parseEnd } from '../../../src/model/query.ts';
import { cast, OUTSIDE } from '../../support/cases/cast.ts';
import { admitting, KEPT, REVOKED } from '../../support/cases/clients-and-servers.ts';
import { retransmissions } from '../../support/kernel/retransmissions.ts';
import { openStream, type Stream } from '../../support/kernel/stream.ts';
import { oracleFor } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { RealIpsetCluster } from './support/real-cluster.ts';

const MESSAGES = 40;

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let cluster: RealIpsetCluster | undefined;
    let streams: Stream[] = [];

    afterEach(() => {
      for (const stream of streams) stream.close();
      streams = [];
      cluster?.close();
      cluster = undefined;
    });

    it('give real connections the oracle’s verdicts', async () => {
      const manifests = [...cast, ...admitting({ egress: [KEPT], ingress: [KEPT] })];
      cluster = await RealIpsetCluster.start(manifests, { variant });
      const pods = ['shop/web', 'shop/api', 'shop/db', 'audit/scan', 'audit/web'];
      const questions = pods.flatMap((from) =>
        [...pods, OUTSIDE.near4, OUTSIDE.near6].flatMap((to) =>
          (['IPv4', 'IPv6'] as const).flatMap((family) =>
            (['TCP', 'UDP'] as const).map((protocol) => ({ from, to, family, protocol, port: KEPT + 1 })),
          ),
        ),
      );
      const oracle = oracleFor(manifests);
      const asked = questions.filter(
        (question) => question.from !== question.to && oracle.judge(question) !== 'no-address',
      );
      const queries = asked.map(({ from, to, ...rest }) => ({ from: parseEnd(from), to: parseEnd(to), ...rest }));
      const outcomes = await cluster.lab.probeAll(queries);
      const wrong = asked.flatMap((question, index) => {
        const answer = oracle.judge(question);
        const wanted = answer !== 'no-address' && answer.allowed ? 'allow' : 'deny';
        return outcomes[index]?.verdict === wanted ? [] : [{ ...question, wanted, outcome: outcomes[index] }];
      });
      expect(wrong).toEqual([]);
      expect(asked.length).toBeGreaterThan(80);
    });

    it('stop those that are revoked at their next packet, and others never notice', async () => {
      cluster = await RealIpsetCluster.start(
        [...cast, ...admitting({ egress: [KEPT, REVOKED], ingress: [KEPT, REVOKED] })],
        { variant },
      );
      streams = await openAll(cluster, ['shop/api', 'shop/db'], [KEPT, REVOKED]);
      const kept = streams.filter(({ options }) => options.port < REVOKED);
      const revoked = streams.filter(({ options }) => options.port >= REVOKED);
      await talk(streams, streams);
      const updating = cluster.update([...cast, ...admitting({ egress: [KEPT], ingress: [KEPT] })]);
      // Those that stay admitted are in full speech meanwhile.
      await talk(kept, kept);
      await updating;
      const before = new Map(revoked.map((stream) => [stream, stream.sent]));
      await talk(streams, kept);
      const late = revoked.filter((stream) => stream.last > (before.get(stream) ?? 0));
      expect(late.map(({ name }) => name)).toEqual([]);
      expect(kept.map((stream) => stream.sent - stream.received)).toEqual(kept.map(() => 0));
      expect(kept.flatMap((stream) => retransmissions(stream))).toEqual([]);
    });
  });
}

/** TCP and UDP, in both families, with either side sending; each on a port of its own. */
function openAll(cluster: RealIpsetCluster, targets: readonly string[], ports: readonly number[]): Promise<Stream[]> {
  const kinds = (['IPv4', 'IPv6'] as const).flatMap((family) =>
    (['TCP', 'UDP'] as const).flatMap((protocol) =>
      (['up', 'down'] as const).map((direction) => ({ family, protocol, direction })),
    ),
  );
  const wanted = targets.flatMap((target) => kinds.map((kind) => ({ target, ...kind })));
  const streams = wanted.flatMap(({ target, family, ...kind }, place) => {
    const [from, to] = [cluster.station('shop/web', family), cluster.station(target, family)];
    return ports.map((port) => openStream({ from, to, port: port + place, ...kind }));
  });
  return Promise.all(streams);
}

async function talk(streams: readonly Stream[], awaited: readonly Stream[]): Promise<void> {
  for (let i = 0; i < MESSAGES; i++) {
    for (const stream of streams) stream.send();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(awaited.map((stream) => stream.arrived(stream.sent)));
}
