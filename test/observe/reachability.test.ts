/** The verdicts of a whole cluster: as the oracle says on random worlds, and who is meant by an end. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterObject } from '../../src/model/cluster.ts';
import { parseEnd, type Query } from '../../src/model/query.ts';
import { Reachability } from '../../src/observe/reachability.ts';
import { policy } from '../support/cases/case.ts';
import { cast, NODE1, NODE2, pod } from '../support/cases/cast.ts';
import { oracleFor } from '../support/oracle/oracle.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';
import { queryOf, reachabilityOf } from './raw.ts';

test('random worlds are judged as the oracle judges them', () => {
  fc.assert(
    fc.property(worldArbitrary, (world) => {
      const oracle = oracleFor(objectsOf(world));
      const reachability = reachabilityOf(objectsOf(world));
      for (const question of questionsOf(world, { atMost: 200 })) {
        const query = queryOf(question);
        const verdict = oracle.judge(question);
        if (query === undefined || verdict === 'no-address') continue;
        const { allowed, egress, ingress } = reachability.ask(query);
        const ours = { allowed, egress: egress?.allowed ?? true, ingress: ingress?.allowed ?? true };
        const theirs = { allowed: verdict.allowed, egress: verdict.egress.allowed, ingress: verdict.ingress.allowed };
        expect(ours, JSON.stringify(question)).toEqual(theirs);
      }
    }),
    { numRuns: 100 },
  );
});

function query(from: string, to: string, more: Partial<Query> = {}): Query {
  return { from: parseEnd(from), to: parseEnd(to), port: 80, protocol: 'TCP', ...more };
}

describe('an end', () => {
  const denied = [...cast, policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })];

  test('that is an address of a pod is that pod, and one of a node that node', () => {
    const { source, destination } = reachabilityOf(denied).ask(query(NODE2.ipv4, '10.244.0.11'));
    expect(source).toMatchObject({ kind: 'node', node: 'node2' });
    expect(destination).toMatchObject({ kind: 'pod', key: 'shop/web' });
  });

  test('that is a hostNetwork pod is its node, at its own address or at the node’s', () => {
    const host = pod('audit/host', '1:0', { hostNetwork: true, podIPs: [NODE1.ipv4] });
    const reachability = reachabilityOf([...denied, host]);
    expect(reachability.ask(query('audit/host', 'shop/web')).ingress).toMatchObject({ reason: 'own node' });
    const { sourceAddress } = reachability.ask(query('audit/host', 'shop/db', { family: 'IPv6' }));
    expect(sourceAddress).toBe(NODE1.ipv6);
  });

  test('that is the own node is asked about where agents judge it, but for what it sends', () => {
    const reasons = [false, true].map((judgesOwnNode) => {
      const reachability = reachabilityOf(denied, { judgesOwnNode });
      const [there, back] = [query('shop/web', NODE1.ipv4), query(NODE1.ipv4, 'shop/web')];
      return [reachability.ask(there).egress?.reason, reachability.ask(back).ingress?.reason];
    });
    expect(reasons).toEqual([
      ['own node', 'own node'],
      ['no rule', 'own node'],
    ]);
  });

  test('that is the bridge of a node is that node, unless a pod has its address', () => {
    expect(reachabilityOf(denied).ask(query('10.244.0.1', 'shop/web')).ingress).toMatchObject({ reason: 'own node' });
    const first = pod('audit/first', '1:1');
    expect(reachabilityOf([...denied, first]).ask(query('10.244.0.1', 'shop/web')).allowed).toBe(false);
  });

  test('is met in IPv4 where both have it, else in the family of the address or the one they share', () => {
    const six = pod('audit/six', '1:66', { podIPs: ['fd00:10:244::66'] });
    const reachability = reachabilityOf([...cast, six]);
    expect(reachability.ask(query('shop/web', 'shop/db')).family).toBe('IPv4');
    expect(reachability.ask(query('shop/web', 'shop/db', { family: 'IPv6' })).family).toBe('IPv6');
    expect(reachability.ask(query('audit/six', 'shop/db')).family).toBe('IPv6');
    expect(reachability.ask(query('2001:db8::1', 'shop/db')).family).toBe('IPv6');
  });

  test.each([
    ['shop/nobody', 'shop/web', 'there is no pod shop/nobody'],
    ['shop/web', 'shop/done', 'pod shop/done has finished: its address may be another’s'],
    ['shop/starting', 'shop/web', 'pod shop/starting has no address yet'],
    ['10.244.0.11', 'fd00:10:244:1::13', '10.244.0.11 (10.244.0.11) and fd00:10:244:1::13 (fd00:10:244:1::13) have no'],
    ['10.244.0.90', 'shop/web', '10.244.0.90 is the address of both shop/one and shop/two'],
  ])('%s to %s is an error: %s', (from, to, message) => {
    const reachability = reachabilityOf([
      ...cast,
      pod('shop/done', '1:80', { phase: 'Succeeded' }),
      pod('shop/starting', '1:81', { podIPs: [] }),
      pod('shop/one', '1:90'),
      pod('shop/two', '1:90'),
    ]);
    expect(() => reachability.ask(query(from, to))).toThrow(message.replace('’', "'"));
  });

  test('that is a Service’s address is an error: policies judge the pods behind it', () => {
    const service = {
      kind: 'Service',
      namespace: 'shop',
      name: 'web',
      addresses: ['10.96.0.1' as never],
      ports: [],
    } as const;
    expect(() => new Reachability([service]).ask(query('203.0.113.1', '10.96.0.1'))).toThrow('Service shop/web');
  });

  test('whose family is not the one asked for is an error', () => {
    expect(() => reachabilityOf(cast).ask(query('203.0.113.1', 'shop/web', { family: 'IPv6' }))).toThrow('IPv6');
  });
});

describe('pods that claim one address', () => {
  const at = (name: `${string}/${string}`, node: string): ClusterObject => ({
    kind: 'Pod',
    namespace: name.split('/')[0] as string,
    name: name.split('/')[1] as string,
    labels: { app: name.split('/')[1] as string },
    node,
    addresses: ['10.0.0.9' as never],
    hostNetwork: false,
    finished: false,
    ports: [],
  });
  const web: ClusterObject = { ...at('shop/web', 'node1'), addresses: ['10.0.0.1' as never] } as ClusterObject;

  test('on one node are both cut off, but for themselves', () => {
    const reachability = new Reachability([at('shop/a', 'node1'), at('shop/b', 'node1'), web]);
    expect(reachability.ask(query('shop/web', 'shop/a'))).toMatchObject({
      allowed: false,
      ingress: { reason: 'conflict', conflict: { address: '10.0.0.9', pods: ['shop/a', 'shop/b'] } },
    });
    expect(reachability.ask(query('shop/b', 'shop/b')).allowed).toBe(true);
  });

  test('on two nodes go on, each on its own interface', () => {
    const reachability = new Reachability([at('shop/a', 'node1'), at('shop/b', 'node2'), web]);
    expect(reachability.ask(query('shop/web', 'shop/a')).allowed).toBe(true);
  });
});
