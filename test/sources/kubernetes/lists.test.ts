import { describe, expect, it } from 'vitest';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Follower } from './follower.ts';
import { namespace, node, pod, policy, smallCluster } from './objects.ts';

describe.each([
  { name: 'streamed', streams: true },
  { name: 'in pages', streams: false },
])('lists $name', ({ streams }) => {
  it('bring every kind in its slim form, of the nodes only this one, and are synced when all are whole', async () => {
    await using server = await ApiServer.listen({ streams });
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    expect(Object.fromEntries(follower.objects)).toEqual({
      'Namespace shop': {
        kind: 'Namespace',
        name: 'shop',
        labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' },
      },
      'Pod shop/web-0': {
        kind: 'Pod',
        namespace: 'shop',
        name: 'web-0',
        labels: { app: 'web' },
        node: 'node1',
        addresses: ['10.244.0.5'],
        hostNetwork: false,
        finished: false,
        ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
        instance: expect.any(Number),
      },
      'NetworkPolicy shop/closed': {
        kind: 'NetworkPolicy',
        namespace: 'shop',
        name: 'closed',
        podSelector: { requirements: [] },
        policyTypes: ['ingress'],
        ingress: [],
        egress: [],
      },
      'Service shop/web': {
        kind: 'Service',
        namespace: 'shop',
        name: 'web',
        addresses: ['10.96.0.7'],
        ports: [{ protocol: 'TCP', port: 80, targetPort: 80 }],
        selector: { app: 'web' },
      },
      'Node node1': { kind: 'Node', name: 'node1', addresses: ['192.0.2.1'], podPrefixes: ['10.244.0.0/24'] },
    });
    expect(follower.last).toMatchObject({ synced: true, warnings: [] });
    expect(follower.notices).toEqual([]);
  });

  it('of an empty cluster are synced, with a word about the node that is not there', async () => {
    await using server = await ApiServer.listen({ streams });
    using follower = new Follower(server);
    await follower.synced();
    expect(follower.warnings).toEqual(['Node node1: the API server has no such node: check --node-name (NODE_NAME)']);
    server.put(node('node1'));
    await follower.until(({ warnings }) => warnings.length === 0);
  });

  it('are not synced while one kind is missing', async () => {
    await using server = await ApiServer.listen({ streams });
    server.put(...smallCluster());
    for (const verb of ['list', 'watch'] as const) server.gate.forbid('services', verb);
    using follower = new Follower(server);
    await follower.until(({ objects, warnings }) => objects.size === 4 && warnings.length === 1);
    expect(follower.changes.every(({ synced }) => !synced)).toBe(true);
    for (const verb of ['list', 'watch'] as const) server.gate.allow('services', verb);
    await follower.synced();
    expect(follower.ids('Service')).toEqual(['Service shop/web']);
  });

  it('go on as watches', async () => {
    await using server = await ApiServer.listen({ streams });
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    server.put(namespace('late'));
    server.delete('Pod', 'shop/web-0');
    await follower.until(({ objects }) => objects.has('Namespace late') && !objects.has('Pod shop/web-0'));
    expect(
      server.requests.filter(({ resource, verb, status }) => resource === 'pods' && verb === 'list' && status === 200)
        .length,
    ).toBe(streams ? 0 : 1);
  });
});

describe('lists in pages', () => {
  it('take as many requests as there are pages, all of one version, and miss nothing that changes meanwhile', async () => {
    await using server = await ApiServer.listen({ streams: false });
    server.put(node('node1'), ...Array.from({ length: 25 }, (_, i) => pod('shop', `web-${i}`)));
    const secondPage = server.request(({ resource, query }) => resource === 'pods' && query.continue !== undefined);
    using follower = new Follower(server, { pageSize: 10 });
    await secondPage;
    server.put(pod('shop', 'a-first'));
    server.delete('Pod', 'shop/web-9');
    await follower.until(({ objects }) => objects.has('Pod shop/a-first') && !objects.has('Pod shop/web-9'));
    expect(follower.ids('Pod')).toHaveLength(25);
    const pages = server.requests.filter(
      ({ resource, verb, status }) => resource === 'pods' && verb === 'list' && status === 200,
    );
    expect(pages.map(({ query }) => [query.limit, query.continue !== undefined])).toEqual([
      ['10', false],
      ['10', true],
      ['10', true],
    ]);
    expect(new Set(pages.map(({ remotePort }) => remotePort)).size).toBe(1);
  });

  it('start again, with larger pages, when their version is forgotten on the way', async () => {
    await using server = await ApiServer.listen({ streams: false });
    server.put(node('node1'), ...Array.from({ length: 25 }, (_, i) => pod('shop', `web-${i}`)));
    const firstPage = server.request(
      ({ resource, verb, status }) => resource === 'pods' && verb === 'list' && status === 200,
    );
    using follower = new Follower(server, { pageSize: 10 });
    await firstPage;
    server.delete('Pod', 'shop/web-0');
    server.put(pod('shop', 'new'));
    server.compact();
    await follower.synced();
    expect(follower.ids('Pod')).toHaveLength(25);
    expect(follower.objects.has('Pod shop/web-0')).toBe(false);
    const lists = server.requests.filter(({ resource, verb }) => resource === 'pods' && verb === 'list');
    expect(lists.map(({ status, query }) => [status, query.limit])).toEqual([
      [200, '10'],
      [410, '10'],
      [200, '40'],
    ]);
    expect(follower.notices).toEqual([]);
  });
});

describe('streamed lists', () => {
  it('fall back to pages where the server does not have them, without a word, and are tried again at the next list', async () => {
    await using server = await ApiServer.listen({ streams: false });
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    expect(follower.notices).toEqual([]);
    server.streams = true;
    server.put(namespace('late'));
    server.compact();
    const streamed = server.request(
      ({ resource, query, status }) => resource === 'pods' && query.sendInitialEvents === 'true' && status === 200,
    );
    for (const watch of server.watches()) watch.cut();
    await streamed;
    await follower.until(({ objects }) => objects.has('Namespace late'));
  });

  it('that break off are followed by one in pages', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster(), ...Array.from({ length: 2000 }, (_, i) => pod('shop', `web-${i}`)));
    server.trickle = 4096;
    const opened = server.request(({ resource, verb }) => resource === 'pods' && verb === 'watch');
    using follower = new Follower(server);
    await opened;
    for (const watch of server.watches('pods')) watch.cut();
    await follower.synced();
    expect(follower.ids('Pod')).toHaveLength(2000);
    expect(server.requests.some(({ resource, verb }) => resource === 'pods' && verb === 'list')).toBe(true);
  });
});

describe('objects that are not valid', () => {
  it('are absent and named, until they are mended', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster(), pod('shop', 'bad', { labels: { 'not a key': 'x' } }));
    server.put(policy('shop', 'odd', { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 'nonsense' } }] }] }));
    using follower = new Follower(server);
    await follower.synced();
    expect(follower.ids('Pod')).toEqual(['Pod shop/web-0']);
    expect(follower.objects.get('NetworkPolicy shop/odd')).toMatchObject({ policyTypes: ['ingress'], ingress: [] });
    expect(follower.last?.warnings.map(({ object, field }) => [object, field])).toEqual([
      ['NetworkPolicy shop/odd', 'spec.ingress[0].from[0].ipBlock.cidr'],
      ['Pod shop/bad', 'metadata.labels[not a key]'],
    ]);
    server.put(pod('shop', 'bad'));
    await follower.until(({ objects }) => objects.has('Pod shop/bad'));
    server.delete('NetworkPolicy', 'shop/odd');
    await follower.until(({ objects }) => !objects.has('NetworkPolicy shop/odd'));
    expect(follower.warnings).toEqual([]);
  });

  it('and were valid before are gone, as if they had been so from the beginning', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    server.put(pod('shop', 'web-0', { labels: { 'not a key': 'x' } }));
    await follower.until(({ objects }) => !objects.has('Pod shop/web-0'));
    expect(follower.warnings).toHaveLength(1);
  });
});
