import { describe, expect, it } from 'vitest';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { failure } from '../../support/api-server/status.ts';
import { Clock } from './clock.ts';
import { Follower, HASTE } from './follower.ts';
import { namespace, node, pod, policy, service, smallCluster } from './objects.ts';

/** Resolves when the next watch of a resource was opened well. */
const watchOf = (server: ApiServer, plural: string) =>
  server.request(({ resource, verb, status }) => resource === plural && verb === 'watch' && status === 200);
const listsOf = (server: ApiServer, plural: string) =>
  server.requests.filter(
    ({ resource, verb, query, status }) =>
      resource === plural && status === 200 && (verb === 'list' || query.sendInitialEvents === 'true'),
  );

describe('a watch', () => {
  it('costs nothing past the parse when an update changes no field that is kept', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    const before = follower.changes.length;
    for (let beat = 1; beat <= 20; beat++) {
      server.put(
        pod('shop', 'web-0', { address: '10.244.0.5', beat }),
        node('node1', '192.0.2.1', beat),
        node('node2', 'x', beat),
      );
    }
    server.put(pod('shop', 'web-1'));
    await follower.until(({ objects }) => objects.has('Pod shop/web-1'));
    expect(follower.changes.slice(before).flatMap(({ events }) => events)).toHaveLength(1);
  });

  it('gives what comes together as one change', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    server.put(...Array.from({ length: 20 }, (_, i) => pod('shop', `new-${i}`)));
    const { events } = await follower.next();
    expect(events).toHaveLength(20);
  });

  it('reads events that come in small pieces, in whatever characters', async () => {
    await using server = await ApiServer.listen();
    server.trickle = 3;
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    const annotated = namespace('late', { team: 'b' });
    server.put({ ...annotated, metadata: { ...annotated.metadata, annotations: { note: 'žluťoučký 🐎' } } });
    await follower.until(({ objects }) => objects.has('Namespace late'));
    expect(follower.notices).toEqual([]);
  });

  it('resumes from the last version when its connection breaks, also within a line', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    const reopened = watchOf(server, 'pods');
    for (const watch of server.watches('pods')) watch.cutInNextEvent();
    const { resourceVersion: before } = server.storage.put(pod('shop', 'seen-0')).metadata;
    await reopened;
    await follower.until(({ objects }) => objects.has('Pod shop/seen-0'));
    server.put(pod('shop', 'seen-1'));
    await follower.until(({ objects }) => objects.has('Pod shop/seen-1'));
    expect(listsOf(server, 'pods')).toHaveLength(1);
    const { query } = await reopened;
    expect(Number(query.resourceVersion)).toBeLessThan(Number(before));
    expect(follower.notices).toEqual([]);
  });

  it('that ends in time is opened again, from the version that a bookmark gave', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    server.put(pod('shop', 'web-1'));
    await follower.until(({ objects }) => objects.has('Pod shop/web-1'));
    const reopened = watchOf(server, 'services');
    server.bookmark();
    for (const watch of server.watches('services')) watch.end();
    const { query } = await reopened;
    expect(query).toMatchObject({ resourceVersion: `${server.storage.version}`, allowWatchBookmarks: 'true' });
    expect(Number(query.timeoutSeconds)).toBeGreaterThanOrEqual(300);
    expect(Number(query.timeoutSeconds)).toBeLessThanOrEqual(600);
  });
});

describe.each(['event', 'status'] as const)('a version that is forgotten, told by the %s', (expired) => {
  it('makes a new list: what is gone is deleted, what is new comes, in one change', async () => {
    await using server = await ApiServer.listen({ expired });
    server.put(...smallCluster(), pod('shop', 'gone'), policy('shop', 'gone'));
    using follower = new Follower(server);
    await follower.synced();
    const before = follower.changes.length;
    await server.pause();
    server.delete('Pod', 'shop/gone');
    server.put(pod('shop', 'web-0', { address: '10.244.0.6' }), pod('shop', 'new'));
    server.compact();
    await server.resume();
    await follower.until(({ objects }) => objects.has('Pod shop/new'));
    expect(follower.ids('Pod')).toEqual(['Pod shop/new', 'Pod shop/web-0']);
    const steps = follower.changes.slice(before).filter(({ events }) => events.length > 0);
    expect(steps.map(({ events }) => events.length)).toEqual([3]);
    expect(follower.changes.slice(before).every(({ synced }) => synced)).toBe(true);
    expect(listsOf(server, 'pods')).toHaveLength(2);
  });
});

describe('a list that follows a broken list', () => {
  it('tells also what the broken one had brought, and nothing by half', async () => {
    await using server = await ApiServer.listen({ streams: false });
    server.put(node('node1'), ...Array.from({ length: 20 }, (_, i) => pod('shop', `web-${i}`)));
    using follower = new Follower(server, { pageSize: 10 });
    await follower.synced();
    const before = follower.changes.length;
    await server.pause();
    server.put(...Array.from({ length: 20 }, (_, i) => pod('shop', `web-${i}`, { labels: { app: 'other' } })));
    server.compact();
    await server.resume();
    await server.request(
      ({ resource, query, status }) => resource === 'pods' && query.limit === '10' && status === 200,
    );
    server.fail({ resource: 'pods', verb: 'list', code: 500 });
    await follower.until(({ notices }) => notices.some(({ type, code }) => type === 'recovered' && code === 'SERVER'));
    await follower.until(({ objects }) =>
      [...objects.values()].every((object) => object.kind !== 'Pod' || object.labels.app === 'other'),
    );
    const steps = follower.changes.slice(before).filter(({ events }) => events.length > 0);
    expect(steps).toHaveLength(1);
  });
});

describe('lines that are none', () => {
  it.each([
    ['garbage', '<html>502 Bad Gateway</html>\n', 'a line that is no JSON'],
    ['half an event', '{"type":"ADDED","object":\n', 'a line that is no JSON'],
    ['no event', '[1, 2]\n', 'a line that is no event'],
    [
      'an event of an unknown type',
      '{"type":"MOVED","object":{"metadata":{"name":"x","resourceVersion":"1"}}}\n',
      'an event "MOVED"',
    ],
    [
      'an object of another kind',
      '{"type":"ADDED","object":{"kind":"Secret","metadata":{"name":"x","resourceVersion":"1"}}}\n',
      'Secret "x" where a Pod belongs',
    ],
    [
      'an object without a name',
      '{"type":"ADDED","object":{"kind":"Pod","metadata":{"resourceVersion":"1"}}}\n',
      'Pod without a name where a Pod belongs',
    ],
  ])('are said, and the kind is listed again: %s', async (_, text, words) => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    for (const watch of server.watches('pods')) watch.raw(text);
    await follower.until(({ notices }) => notices.length > 0);
    expect(follower.notices[0]).toMatchObject({ type: 'fault', code: 'MALFORMED' });
    expect(follower.notices[0]?.message).toContain(words);
    server.put(pod('shop', 'after'));
    await follower.until(({ objects }) => objects.has('Pod shop/after'));
    expect(listsOf(server, 'pods')).toHaveLength(2);
    await follower.until(({ notices, warnings }) => notices.length === 2 && warnings.length === 0);
    expect(follower.notices[1]).toMatchObject({ type: 'recovered', code: 'MALFORMED' });
  });

  it('are said once while every watch brings them', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server, { timing: { ...HASTE, proven: 10_000 } });
    await follower.synced();
    for (let round = 0; round < 5; round++) {
      const reopened = watchOf(server, 'pods');
      for (const watch of server.watches('pods')) watch.raw('garbage\n');
      await reopened;
    }
    expect(follower.notices.map(({ type }) => type)).toEqual(['fault']);
  });
});

describe('events of type ERROR', () => {
  it('are said in their own words, and the watch resumes without a new list', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    for (const watch of server.watches('pods')) watch.fail(failure(500, 'unable to decode an event'));
    await follower.until(({ notices }) => notices.length > 0);
    expect(follower.notices[0]).toMatchObject({ type: 'fault', code: 'SERVER' });
    expect(follower.notices[0]?.message).toContain('unable to decode an event');
    server.put(pod('shop', 'after'));
    await follower.until(({ objects, warnings }) => objects.has('Pod shop/after') && warnings.length === 0);
    expect(listsOf(server, 'pods')).toHaveLength(1);
  });
});

describe('a connection that has died', () => {
  it('is noticed by its silence and opened again', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server, { scheduler: clock, random: () => 0, timing: {} });
    await follower.synced();
    server.put(pod('shop', 'web-1'));
    await follower.until(({ objects }) => objects.has('Pod shop/web-1'));
    const [stalled] = server.watches('pods');
    stalled?.stall();
    server.put(pod('shop', 'unheard'));
    clock.advance(100_000);
    server.bookmark();
    server.put(namespace('heard'));
    await follower.until(({ objects }) => objects.has('Namespace heard'));
    const reopened = watchOf(server, 'pods');
    clock.advance(60_000);
    await clock.waiting(500);
    clock.advance(500);
    await reopened;
    await follower.until(({ objects }) => objects.has('Pod shop/unheard'));
    expect(listsOf(server, 'pods')).toHaveLength(1);
    server.put(service('shop', 'after'));
    await follower.until(({ objects }) => objects.has('Service shop/after'));
    expect(server.requests.filter(({ resource, verb }) => resource === 'services' && verb === 'watch')).toHaveLength(1);
    expect(follower.notices).toEqual([]);
  });
});

describe('a watch that never says anything', () => {
  it('is not trusted: the kind is listed again', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server, { scheduler: clock, random: () => 0, timing: {} });
    await follower.synced();
    for (const watch of server.watches('pods')) watch.stall();
    const listed = server.request(({ resource, query }) => resource === 'pods' && query.sendInitialEvents === 'true');
    clock.advance(150_000);
    await clock.waiting(500);
    clock.advance(500);
    await listed;
  });
});

describe('a server that was restored from the past', () => {
  it('says nothing to who asks from our version, which is still to come there, and is listed anew', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.put(...smallCluster(), ...Array.from({ length: 10 }, (_, i) => pod('shop', `lost-${i}`)));
    using follower = new Follower(server, { scheduler: clock, random: () => 0, timing: {} });
    await follower.synced();
    await server.pause();
    await using restored = await ApiServer.listen({ port: Number(new URL(server.url).port) });
    restored.put(...smallCluster());
    const lost = () => [...follower.objects.keys()].some((id) => id.includes('lost'));
    while (lost()) {
      clock.advance(10_000);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(restored.requests.some(({ query, status }) => query.resourceVersion !== undefined && status === 200)).toBe(
      true,
    );
    expect(follower.ids('Pod')).toEqual(['Pod shop/web-0']);
  });
});

describe('unsubscribing', () => {
  it('ends every connection', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    const follower = new Follower(server);
    await follower.synced();
    expect(server.watches()).toHaveLength(5);
    const gone = server.whenIdle();
    follower[Symbol.dispose]();
    await gone;
    expect(server.watches()).toEqual([]);
  });
});
