// What is valid and seldom meant is named, once for each policy, however many pods and policies there are.
import { expect, test } from 'vitest';
import type { ClusterObject, NetworkPolicy, ObjectKey, Pod } from '../../src/model/cluster.ts';
import { seldomMeant, seldomMeantInTurns } from '../../src/observe/seldom-meant.ts';

function pod(name: string, labels: Record<string, string>, more: Partial<Pod> = {}): Pod {
  return {
    kind: 'Pod',
    namespace: 'shop',
    name,
    labels,
    addresses: [],
    ports: [],
    hostNetwork: false,
    finished: false,
    ...more,
  };
}

function policy(
  name: string,
  podSelector: NetworkPolicy['podSelector'],
  more: Partial<NetworkPolicy> = {},
): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace: 'shop',
    name,
    podSelector,
    policyTypes: ['ingress'],
    ingress: [],
    egress: [],
    ...more,
  };
}

const labelled = (key: string, ...values: string[]): NetworkPolicy['podSelector'] => {
  return { requirements: [{ key, operator: 'In', values }] };
};

test('a policy that selects no pod, and a port name that no selected pod has', () => {
  const http = { name: 'http', port: 80, protocol: 'TCP' } as const;
  const named = (name: string) => ({
    ingress: [{ peers: [], ports: [{ kind: 'named', name, protocol: 'TCP' }] }] as unknown as NetworkPolicy['ingress'],
  });
  const objects: ClusterObject[] = [
    pod('web', { app: 'web' }, { ports: [http] }),
    pod('job', { app: 'job' }, { finished: true }),
    pod('proxy', { app: 'proxy' }, { hostNetwork: true }),
    pod('other', { app: 'db' }, { namespace: 'audit' }),
    policy('all', { requirements: [] }, named('http')),
    policy('either', labelled('app', 'web', 'db')),
    policy('elsewhere', labelled('app', 'db')),
    policy('finished', labelled('app', 'job')),
    policy('host', labelled('app', 'proxy')),
    policy('bare', { requirements: [{ key: 'app', operator: 'DoesNotExist' }] }),
    policy('metrics', labelled('app', 'web'), named('metrics')),
  ];
  const found = seldomMeant(objects).map(({ object, field, message }) => `${object} ${field} ${message}`);
  const nothing = ['elsewhere', 'finished', 'host', 'bare'];
  expect(found).toEqual([
    ...nothing.map((name) => `NetworkPolicy shop/${name} spec.podSelector selects no pod`),
    'NetworkPolicy shop/metrics spec.ingress[0].ports[0].port none of the pods that it selects has a port named metrics',
  ]);
  expect(seldomMeant(objects, 'shop/host' as ObjectKey).map(({ object }) => object)).toEqual([
    'NetworkPolicy shop/host',
  ]);
  expect(seldomMeant(objects, 'shop/all' as ObjectKey)).toEqual([]);
});

test('of a large cluster the same, and others have their turns meanwhile', async () => {
  const pods = Array.from({ length: 20_000 }, (_, i) => pod(`web-${i}`, { app: `app-${i}`, of: `${i % 7}` }));
  const policies = Array.from({ length: 2_000 }, (_, i) => policy(`policy-${i}`, labelled('app', `app-${20 * i}`)));
  let turns = 0;
  const turn = () => {
    turns++;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  const found = await seldomMeantInTurns([...pods, ...policies]);
  clearImmediate(next);
  expect(found).toEqual(seldomMeant([...pods, ...policies]));
  expect(found).toHaveLength(1_000);
  expect(turns).toBeGreaterThan(1);
});
