/**
 * Promise 4 by real connections: traffic to a Service is judged on the backend that receives it and on the pod that sent
 * it, whether the node masquerades it or not. The node's rules are those that kube-proxy would write.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { Listeners } from '../../src/lab/probing/listeners.ts';
import { probe } from '../../src/lab/probing/probe.ts';
import type { Address } from '../../src/model/address.ts';
import { netns } from '../../src/native.ts';
import { OUTSIDE } from '../../src/observe/matrix.ts';
import { policy } from '../support/cases/case.ts';
import { cast, NODE1 } from '../support/cases/cast.ts';
import { RealCluster } from '../support/kernel/real-cluster.ts';
import { retransmissions } from '../support/kernel/retransmissions.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import type { Family } from '../support/oracle/addresses.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { oracleFor } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';

const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];
/** kube-proxy's mark for what is to be masqueraded. */
const MASQUERADE = '0x4000/0x4000';

/** On node1: a backend on the same node and one on the other, reached at port 80 and, for streams, at a range of ports. */
const SERVICES = [
  { name: 'api', pod: 'shop/api', port: 8081, IPv4: '10.96.0.1', IPv6: 'fd00:96::1' },
  { name: 'db', pod: 'shop/db', port: 5432, IPv4: '10.96.0.2', IPv6: 'fd00:96::2' },
] as const;

const only = (app: string) => ({ podSelector: { matchLabels: { app } } });

/** Who may reach api, and whom web may reach. */
function state(clients: string[], servers: string[]): ClusterObject[] {
  // An empty list of peers would mean everybody.
  const ingress = clients.map((app) => ({ from: [{ namespaceSelector: {}, ...only(app) }] }));
  const egress = servers.map((app) => ({ to: [only(app)] }));
  return [
    ...cast,
    policy('shop/api', { ...only('api'), ingress }),
    policy('shop/web', { ...only('web'), policyTypes: ['Egress'], egress }),
  ];
}

for (const masqueraded of [false, true]) {
  describeAsRoot(`connections to a Service, ${masqueraded ? 'masqueraded' : 'from their own address'}`, () => {
    let cluster: RealCluster;
    let streams: Stream[] = [];
    const listeners = new Listeners();

    beforeAll(async () => {
      cluster = await RealCluster.start(cast);
      translate(cluster, masqueraded);
    });

    afterAll(() => {
      for (const stream of streams) stream.close();
      listeners.close();
      cluster?.close();
    });

    for (const [name, objects] of [
      ['web may reach api', state(['web'], ['api'])],
      ['db may reach api, and web db', state(['db'], ['db'])],
      ['nobody may reach anybody', state([], [])],
    ] as const) {
      it(`are judged by who receives them: ${name}`, async () => {
        await cluster.update(objects);
        const oracle = oracleFor(objects);
        const pairs = ['shop/web', 'audit/web', 'shop/api'].flatMap((from) =>
          SERVICES.flatMap((service) => FAMILIES.map((family) => ({ from, service, family }))),
        );
        const verdicts = await Promise.all(
          pairs.map(async ({ from, service, family }) => {
            const { pod, port } = service;
            const backend = cluster.station(pod, family);
            const to = { ...backend, address: service[family] as Address };
            const outcome = await probe({ from: cluster.station(from, family), to, protocol: 'TCP', port: 80 });
            const answer = oracle.judge({ from, to: pod, family, protocol: 'TCP', port });
            const expected = answer !== 'no-address' && answer.allowed ? 'allow' : 'deny';
            return { question: `${from} to ${service.name} ${family}`, ...outcome, expected };
          }),
        );
        expect(verdicts).toEqual(
          verdicts.map(({ question, expected }, index) => ({
            question,
            verdict: expected,
            ...(expected === 'allow' && { answeredBy: pairs[index]?.service.pod }),
            expected,
          })),
        );
      });
    }

    for (const [end, revoked] of [
      ['egress of the client', state(['web'], ['db'])],
      ['ingress of the backend', state([], ['api', 'db'])],
    ] as const) {
      it(`stop when the ${end} is revoked, and else never notice`, async () => {
        await cluster.update(state(['web'], ['api', 'db']));
        streams = await openAll(cluster);
        await talk(streams, streams);
        const kept = streams.filter(({ options }) => options.to.name === 'shop/db');
        const cut = streams.filter(({ options }) => options.to.name === 'shop/api');

        await cluster.update(revoked);
        const before = new Map(cut.map((stream) => [stream, stream.sent]));
        await talk(streams, kept);

        expect(cut.filter((stream) => stream.last > (before.get(stream) ?? 0)).map(({ name }) => name)).toEqual([]);
        expect(kept.map(({ sent, received }) => sent - received)).toEqual(kept.map(() => 0));
        expect(kept.flatMap((stream) => retransmissions(stream))).toEqual([]);
        for (const stream of streams) stream.close();
        streams = [];
      });
    }

    for (const [client, objects, verdict] of [
      ['admitted', admittingOutside('203.0.113.0/24', '2001:db8::/32'), 'allow'],
      ['not admitted, though the node itself is', admittingOutside('192.168.50.0/24', 'fd00:192:168:50::/64'), 'deny'],
    ] as const) {
      it(`by a port of the node are judged by who sent them: ${client}`, async () => {
        await cluster.update(objects);
        const outcomes = await Promise.all(
          FAMILIES.map((family) => {
            const from = cluster.station(OUTSIDE[family === 'IPv4' ? 4 : 6], family);
            const to = { ...cluster.station('shop/api', family), address: nodeAddress(cluster, family) };
            return probe({ from, to, protocol: 'TCP', port: NODE_PORT });
          }),
        );
        expect(outcomes.map((outcome) => outcome.verdict)).toEqual([verdict, verdict]);
      });
    }

    for (const [what, to, verdict] of [
      ['where the backend is admitted', [...EXTERNAL_BLOCKS], 'allow'],
      ['not where only the Service’s own address is', FAMILIES.map((family) => block(EXTERNAL[family])), 'deny'],
      ['not where only pods are', [{ namespaceSelector: {} }], 'deny'],
    ] as const) {
      it(`go to a backend that is no pod, as of a Service without a selector: ${what}`, async () => {
        await cluster.update([
          ...cast,
          policy('shop/web', { ...only('web'), policyTypes: ['Egress'], egress: [{ to: [...to] }] }),
        ]);
        const outcomes = await Promise.all(
          FAMILIES.map((family) => {
            const backend = cluster.station(OUTSIDE[family === 'IPv4' ? 4 : 6], family);
            listeners.ensure(backend, 'TCP', 443);
            const to = { ...backend, address: EXTERNAL[family] as Address };
            return probe({ from: cluster.station('shop/web', family), to, protocol: 'TCP', port: 443 });
          }),
        );
        expect(outcomes.map((outcome) => outcome.verdict)).toEqual([verdict, verdict]);
      });
    }

    it('stay when the pod that opened them is isolated', async () => {
      await cluster.update(cast);
      streams = await openAll(cluster);
      await talk(streams, streams);
      await cluster.update([...cast, policy('shop/web', only('web'))]);
      await talk(streams, streams);
      expect(streams.map(({ sent, received }) => sent - received)).toEqual(streams.map(() => 0));
      expect(streams.flatMap((stream) => retransmissions(stream))).toEqual([]);
      for (const stream of streams) stream.close();
      streams = [];
    });
  });
}

const NODE_PORT = 30_080;
/** A Service whose endpoints somebody wrote by hand: somebody outside, at port 443. */
const EXTERNAL = { IPv4: '10.96.0.3', IPv6: 'fd00:96::3' } as const;
const EXTERNAL_BLOCKS = FAMILIES.map((family) => block(OUTSIDE[family === 'IPv4' ? 4 : 6]));

function block(address: string) {
  return { ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` } };
}

function nodeAddress(cluster: RealCluster, family: Family): Address {
  return cluster.station(family === 'IPv4' ? NODE1.ipv4 : NODE1.ipv6, family).address;
}

function admittingOutside(...cidrs: string[]): ClusterObject[] {
  const from = cidrs.map((cidr) => ({ ipBlock: { cidr } }));
  return [...cast, policy('shop/api', { ...only('api'), ingress: [{ from }] })];
}

/** First port of a Service, and of its backend, for streams; each has one of its own. */
const STREAMS = 7000;

/** Node1's rules for all Services: to their backends, and back by the node where it must be or is wanted. */
function translate(cluster: RealCluster, masqueraded: boolean): void {
  const { namespace } = cluster.node('node1');
  for (const family of FAMILIES) {
    const command = family === 'IPv4' ? 'iptables' : 'ip6tables';
    const literal = (address: string) => (family === 'IPv4' ? address : `[${address}]`);
    const rules = SERVICES.flatMap((service) => {
      const { address } = cluster.station(service.pod, family);
      const to = `-d ${service[family]}`;
      return [
        ...(masqueraded ? [`PREROUTING ${to} -j MARK --set-xmark ${MASQUERADE}`] : []),
        // A pod that is its own backend would see its own address answer it.
        `PREROUTING -s ${address} ${to} -j MARK --set-xmark ${MASQUERADE}`,
        `PREROUTING ${to} -p tcp --dport 80 -j DNAT --to-destination ${literal(address)}:${service.port}`,
        `PREROUTING ${to} -j DNAT --to-destination ${address}`,
      ];
    });
    const [api] = SERVICES;
    const outside = cluster.station(OUTSIDE[family === 'IPv4' ? 4 : 6], family).address;
    if (masqueraded) rules.push(`PREROUTING -d ${EXTERNAL[family]} -j MARK --set-xmark ${MASQUERADE}`);
    rules.push(`PREROUTING -d ${EXTERNAL[family]} -j DNAT --to-destination ${outside}`);
    const nodePort = `-d ${nodeAddress(cluster, family)} -p tcp --dport ${NODE_PORT}`;
    if (masqueraded) rules.push(`PREROUTING ${nodePort} -j MARK --set-xmark ${MASQUERADE}`);
    const backend = `${literal(cluster.station(api.pod, family).address)}:${api.port}`;
    rules.push(`PREROUTING ${nodePort} -j DNAT --to-destination ${backend}`);
    rules.push(`POSTROUTING -m mark --mark ${MASQUERADE} -j MASQUERADE`);
    netns.run(namespace, () => {
      // As Flannel needs it: replies on the bridge pass the rules that turn them back.
      writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${command}`, '1');
      for (const rule of rules) runSync(command, ['-t', 'nat', '-A', ...rule.split(' ')]);
    });
  }
}

/** From web to both Services, TCP and UDP, in both families and both directions. */
function openAll(cluster: RealCluster): Promise<Stream[]> {
  const kinds = FAMILIES.flatMap((family) =>
    (['TCP', 'UDP'] as const).flatMap((protocol) =>
      (['up', 'down'] as const).map((direction) => ({ family, protocol, direction })),
    ),
  );
  return Promise.all(
    SERVICES.flatMap((service) =>
      kinds.map(({ family, ...kind }, place) => {
        const [from, to] = [cluster.station('shop/web', family), cluster.station(service.pod, family)];
        const port = STREAMS + place;
        return openStream({ from, to, port, via: { address: service[family], port }, ...kind });
      }),
    ),
  );
}

/** Sends on all connections; resolves when all messages of `awaited` have arrived. */
async function talk(streams: readonly Stream[], awaited: readonly Stream[]): Promise<void> {
  for (let i = 0; i < 40; i++) {
    for (const stream of streams) stream.send();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(awaited.map((stream) => stream.arrived(stream.sent)));
}
