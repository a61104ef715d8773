/**
 * Promise 5 by real connections: whoever opened it, one that policy no longer admits stops at its next packet, one that it
 * still admits never notices.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OUTSIDE } from '../../src/observe/matrix.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { admitting, KEPT, REVOKED } from '../support/cases/clients-and-servers.ts';
import { RealCluster } from '../support/kernel/real-cluster.ts';
import { retransmissions } from '../support/kernel/retransmissions.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import { describeAsRoot } from '../support/privilege.ts';

/** Messages on each connection after every update. */
const MESSAGES = 60;

const ALL = { egress: [KEPT, REVOKED], ingress: [KEPT, REVOKED] };

describeAsRoot('real connections while policies change', () => {
  let cluster: RealCluster;
  let streams: Stream[] = [];

  beforeAll(async () => {
    cluster = await RealCluster.start(cast);
  });

  afterAll(() => {
    for (const stream of streams) stream.close();
    cluster?.close();
  });

  for (const [end, revoked] of [
    ['egress of the client', { ...ALL, egress: [KEPT] }],
    ['ingress of the server', { ...ALL, ingress: [KEPT] }],
  ] as const) {
    it(`stop at their next packet when the ${end} is revoked, and others never notice`, async () => {
      await cluster.update([...cast, ...admitting(ALL)]);
      streams = await openAll(cluster, ['shop/api', 'shop/db'], [KEPT, REVOKED]);
      const kept = streams.filter(({ options }) => options.port < REVOKED);
      const others = streams.filter(({ options }) => options.port >= REVOKED);
      await talk(streams, streams);

      await cluster.update([...cast, ...admitting(revoked)]);
      const before = new Map(others.map((stream) => [stream, stream.sent]));
      await talk(streams, kept);

      const late = others.filter((stream) => stream.last > (before.get(stream) ?? 0));
      expect(late.map(({ name, last }) => ({ name, last }))).toEqual([]);
      expect(kept.map(lost)).toEqual(kept.map(() => 0));
      expect(kept.flatMap((stream) => retransmissions(stream))).toEqual([]);
      for (const stream of streams) stream.close();
      streams = [];
    });
  }

  it('outlive updates that change who may speak to the same pods but not them', async () => {
    await cluster.update([...cast, ...admitting(ALL)]);
    streams = await openAll(cluster, ['shop/api', 'shop/db'], [KEPT]);
    for (const state of [
      admitting({ ...ALL, ingress: [KEPT] }),
      [],
      admitting({ egress: [KEPT], ingress: [KEPT, 1] }),
    ]) {
      await cluster.update([...cast, ...state]);
      await talk(streams, streams);
    }
    expect(streams.map(lost)).toEqual(streams.map(() => 0));
    expect(streams.flatMap((stream) => retransmissions(stream))).toEqual([]);
    for (const stream of streams) stream.close();
    streams = [];
  });

  it('stay when the pod that opened them is isolated, and those into it stop', async () => {
    await cluster.update(cast);
    // From this pod, which no policy concerns yet: into its own node, to the other one and out of the cluster.
    const own = await openAll(cluster, ['shop/api', 'audit/scan', OUTSIDE[4], OUTSIDE[6]], [KEPT]);
    const into = await openAll(cluster, ['shop/web'], [REVOKED], ['shop/api', 'audit/scan', OUTSIDE[4]]);
    streams = [...own, ...into];
    await talk(streams, streams);

    await cluster.update([...cast, policy('shop/web', { podSelector: { matchLabels: { app: 'web' } } })]);
    const before = new Map(into.map((stream) => [stream, stream.sent]));
    await talk(streams, own);

    expect(into.filter((stream) => stream.last > (before.get(stream) ?? 0)).map(({ name }) => name)).toEqual([]);
    expect(own.map(lost)).toEqual(own.map(() => 0));
    expect(own.flatMap((stream) => retransmissions(stream))).toEqual([]);
  });

  it('stop when the pod that opened them is isolated from whom it speaks to, also if only that one speaks', async () => {
    for (const stream of streams) stream.close();
    await cluster.update(cast);
    streams = await openAll(cluster, ['shop/api', 'audit/scan', OUTSIDE[4], OUTSIDE[6]], [REVOKED]);
    const silent = streams.filter(({ options }) => options.direction === 'down');
    // Into the pod, which is not isolated in that direction: that its messages arrive shows that time has passed.
    const kept = await openAll(cluster, ['shop/web'], [KEPT], ['audit/scan']);
    streams = [...streams, ...kept];
    await talk([...silent, ...kept], [...silent, ...kept]);

    await cluster.update([
      ...cast,
      policy('shop/web', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'] }),
    ]);
    const before = new Map(silent.map((stream) => [stream, stream.sent]));
    await talk([...silent, ...kept], kept);

    const late = silent.filter((stream) => stream.last > (before.get(stream) ?? 0));
    expect(late.map(({ name, last }) => ({ name, last }))).toEqual([]);
    expect(kept.map(lost)).toEqual(kept.map(() => 0));
  });
});

/** TCP and UDP, in both families and both directions, from `web` unless said otherwise; each on a port of its own. */
function openAll(
  cluster: RealCluster,
  targets: readonly string[],
  ports: readonly number[],
  sources: readonly string[] = ['shop/web'],
): Promise<Stream[]> {
  const kinds = (['IPv4', 'IPv6'] as const).flatMap((family) =>
    (['TCP', 'UDP'] as const).flatMap((protocol) =>
      (['up', 'down'] as const).map((direction) => ({ family, protocol, direction })),
    ),
  );
  const pairs = sources.flatMap((source) => targets.map((target) => ({ source, target })));
  const wanted = pairs.flatMap((pair) => kinds.map((kind) => ({ ...pair, ...kind })));
  const streams = wanted.flatMap(({ source, target, family, ...kind }, place) => {
    const [from, to] = [cluster.station(source, family), cluster.station(target, family)];
    // An address outside has one family.
    if (from === undefined || to === undefined) return [];
    return ports.map((port) => openStream({ from, to, port: port + place, ...kind }));
  });
  return Promise.all(streams);
}

/** Sends on all connections, a few messages per turn of the loop; resolves when those of `awaited` have arrived. */
async function talk(streams: readonly Stream[], awaited: readonly Stream[]): Promise<void> {
  for (let i = 0; i < MESSAGES; i++) {
    for (const stream of streams) stream.send();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(awaited.map((stream) => stream.arrived(stream.sent)));
}

function lost(stream: Stream): number {
  return stream.sent - stream.received;
}
