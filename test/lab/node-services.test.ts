// Services by real connections, where no policy is in the way: who answers, and whom it takes for the client.
import { afterEach, expect, it } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import type { Address } from '../../src/model/address.ts';
import type { Pod, Service } from '../../src/model/cluster.ts';
import type { Query } from '../../src/model/query.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ask, node, pod, service, tcp } from './small-cluster.ts';

const FAMILIES = ['IPv4', 'IPv6'] as const;
const nodes = [node(1), node(2)];
const api = (name: string, onNode: number, number: number, options: Partial<Pod> = {}) =>
  pod(name, onNode, number, { labels: { app: 'api' }, ...options });
const web = pod('web', 1, 9);
let lab: Lab | undefined;

afterEach(() => {
  lab?.close();
  lab = undefined;
});

async function start(pods: readonly Pod[], services: readonly Service[]): Promise<Lab> {
  lab = await Lab.start({ cluster: { nodes, pods, services }, backend: 'vxlan', services: true });
  return lab;
}

/** `who answers` or the verdict, for each query. */
async function answers(network: Lab, queries: readonly Query[]): Promise<string[]> {
  const outcomes = await network.probeAll(queries);
  return outcomes.map((one) => {
    if (one.verdict === 'error') return one.reason;
    return one.verdict === 'allow' ? (one.answeredBy ?? 'refused') : 'deny';
  });
}

const VIP = { IPv4: '10.96.0.1', IPv6: 'fd00:10:96::1' };
const NODE = { IPv4: ['172.30.0.2', '172.30.0.3'], IPv6: ['fd00:172:30::2', 'fd00:172:30::3'] };
const CLIENT = { IPv4: '203.0.113.9', IPv6: '2001:db8::9' };
const nodePort = [{ protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }] as const;

describeAsRoot('a Service in the lab', () => {
  it('is answered by its pods, on the client’s node and another, over TCP and UDP, and by the client itself', async () => {
    const ports = [
      { protocol: 'TCP', port: 80, targetPort: 8080 },
      { protocol: 'UDP', port: 53, targetPort: 5353 },
    ] as const;
    const network = await start([web, api('one', 1, 5), api('two', 2, 5)], [service('api', 1, { ports })]);
    const asked = (from: string, port: string) => {
      return Array.from({ length: 24 }, (_, index) => ask(from, VIP[FAMILIES[index % 2] as 'IPv4'], port));
    };
    for (const from of ['web', 'one', 'two', 'shop/web']) {
      for (const port of ['80/tcp', '53/udp']) {
        const all = await answers(network, asked(from, port));
        expect([...new Set(all)].sort(), `${from} ${port}`).toEqual(['shop/one', 'shop/two']);
      }
    }
  });

  it('is answered for the node, a pod of its network and a client outside', async () => {
    const host = pod('host', 2, 0, { hostNetwork: true, addresses: [] });
    const network = await start([web, host, api('one', 1, 5)], [service('api', 1, { ports: nodePort })]);
    const queries = FAMILIES.flatMap((family, index) => [
      ask(NODE[family][0] as string, VIP[family]),
      ask(NODE[family][1] as string, VIP[family]),
      ask('host', VIP[family]),
      ...NODE[family].map((to) => ask(CLIENT[family], to, '30080/tcp')),
      ...NODE[family].map((to) => ask('web', to, '30080/tcp')),
      ask('web', index === 0 ? '10.244.1.1' : 'fd00:10:244:1::1', '30080/tcp'),
      ask(NODE[family][0] as string, NODE[family][0] as string, '30080/tcp'),
    ]);
    expect(await answers(network, queries)).toEqual(queries.map(() => 'shop/one'));
  });

  it('has external addresses, and with externalTrafficPolicy Local only backends of the node', async () => {
    const external = ['192.0.2.80', '2001:db8:80::80'] as Address[];
    const local = service('api', 1, { externalTrafficPolicy: 'Local', externalAddresses: external, ports: nodePort });
    const published = { ...local, addresses: [...local.addresses, ...external] };
    const network = await start([web, api('two', 2, 5)], [published]);
    const queries = FAMILIES.flatMap((family, index) => [
      ask(CLIENT[family], external[index] as string),
      ask('web', external[index] as string),
      ask('web', VIP[family]),
      ask(CLIENT[family], NODE[family][1] as string, '30080/tcp'),
      ask(CLIENT[family], NODE[family][0] as string, '30080/tcp'),
    ]);
    const expected = ['shop/two', 'shop/two', 'shop/two', 'shop/two', 'deny'];
    expect(await answers(network, queries)).toEqual([...expected, ...expected]);
  });

  it('sends a client to the same backend again where it asks for that', async () => {
    const backends = Array.from({ length: 6 }, (_, index) => api(`api${index}`, 1 + (index % 2), 20 + index));
    const network = await start([web, ...backends], [service('api', 1, { affinitySeconds: 600 })]);
    for (const family of FAMILIES) {
      const [first] = await answers(network, [ask('web', VIP[family])]);
      const again = await answers(
        network,
        Array.from({ length: 16 }, () => ask('web', VIP[family])),
      );
      expect(new Set(again)).toEqual(new Set([first]));
    }
  });

  it('may be backed by pods of the nodes’ network, on this node and another', async () => {
    const servers = [1, 2].map((number) =>
      pod(`server${number}`, number, 0, { hostNetwork: true, addresses: [], labels: { app: 'api' } }),
    );
    const network = await start([web, ...servers], [service('api', 1)]);
    const all = await answers(
      network,
      Array.from({ length: 24 }, (_, index) => ask('web', VIP[FAMILIES[index % 2] as 'IPv4'])),
    );
    expect([...new Set(all)].sort()).toEqual(['node1', 'node2']);
  });

  it('follows its cluster: pods and Services that come and go', async () => {
    const network = await start([web, api('one', 1, 5)], [service('api', 1)]);
    expect(await answers(network, [ask('web', VIP.IPv4)])).toEqual(['shop/one']);
    const labelled = pod('web', 1, 9, { labels: { app: 'web' } });
    const services = [service('api', 1), service('web', 2)];
    await network.update({ nodes, pods: [labelled, api('two', 2, 5)], services });
    expect(await answers(network, [ask('web', VIP.IPv4), ask('two', '10.96.0.2')])).toEqual(['shop/two', 'shop/web']);
    await network.update({ nodes, pods: [labelled, api('two', 2, 5)], services: services.slice(1) });
    expect(await answers(network, [ask('two', '10.96.0.2')])).toEqual(['shop/web']);
  });

  it('says what no Service has, or nobody is behind', async () => {
    const network = await start([web], [service('api', 1)]);
    const queries = [ask('web', VIP.IPv4), ask('web', VIP.IPv6, '81/tcp'), ask(VIP.IPv4, 'web')];
    expect(await answers(network, queries)).toEqual([
      'no pod is behind Service shop/api port 80',
      'Service shop/api has no port 81/TCP',
      '10.96.0.1 is an address of Service shop/api: nobody asks from it',
    ]);
  });
});

describeAsRoot('a host port in the lab', () => {
  it('leads to its pod from outside, from other pods and from the pod itself', async () => {
    const ports = [{ ...tcp(80), hostPort: 8080 }];
    const network = await start([web, pod('server', 1, 5, { ports }), pod('far', 2, 5)], []);
    const queries = FAMILIES.flatMap((family) =>
      [CLIENT[family], 'web', 'far', 'server'].map((from) => ask(from, NODE[family][0] as string, '8080/tcp')),
    );
    expect(await answers(network, queries)).toEqual(queries.map(() => 'shop/server'));
  });
});
