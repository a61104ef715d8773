import { describe, expect, it } from 'vitest';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Clock } from './clock.ts';
import { Follower, HASTE } from './follower.ts';
import { pod, smallCluster } from './objects.ts';

const KINDS = 5;
const types = ({ notices }: Follower) => notices.map(({ type, code }) => `${type} ${code}`);

describe('a server that is away', () => {
  it('from the beginning is said once for all kinds, and found when it comes', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    await server.pause();
    using follower = new Follower(server);
    await follower.until(({ last }) => last?.warnings.length === 1);
    expect(follower.last).toMatchObject({ synced: false, events: [] });
    expect(follower.warnings[0]).toMatch(
      /^API server http:\/\/127\.0\.0\.1:\d+: cannot be reached \(connect ECONNREFUSED .*\): check .*; retried, and what was known stays in force$/,
    );
    await server.resume();
    await follower.synced();
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(types(follower)).toEqual(['fault UNREACHABLE', 'recovered UNREACHABLE']);
  });

  it('for a while changes nothing of what is known', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    const before = new Map(follower.objects);
    await server.pause();
    await follower.until(({ warnings }) => warnings.length === 1);
    server.put(pod('shop', 'new'));
    expect(follower.objects).toEqual(before);
    expect(follower.last?.synced).toBe(true);
    await server.resume();
    await follower.until(({ objects, warnings }) => objects.has('Pod shop/new') && warnings.length === 0);
    expect(types(follower)).toEqual(['fault UNREACHABLE', 'recovered UNREACHABLE']);
    expect(follower.changes.flatMap(({ events }) => events).filter(({ type }) => type === 'delete')).toEqual([]);
  });

  it('is asked less and less often, by each kind in its own time', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    await server.pause();
    using _follower = new Follower(server, { scheduler: clock, random: () => 0.5, timing: {} });
    for (const delay of [750, 1500, 3000, 6000, 12_000, 22_500, 22_500]) {
      await clock.waiting(delay, KINDS);
      clock.advance(delay);
    }
  });

  it('is asked by all as soon as one got through', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    await server.pause();
    let asked = 0;
    using follower = new Follower(server, {
      scheduler: clock,
      random: () => (asked++ === KINDS ? 0 : 0.9),
      timing: {},
    });
    // Each kind asks once for the length of its watch, and then for its delay.
    await clock.waiting(500, 1);
    await clock.waiting(950, KINDS - 1);
    await server.resume();
    clock.advance(500);
    await follower.synced();
  });

  it('or accepts connections and says nothing is given up after a while', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.mute = true;
    using follower = new Follower(server, { scheduler: clock, timing: { answer: 30_000 } });
    await clock.waiting(30_000, KINDS);
    clock.advance(30_000);
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('cannot be reached (no answer within 30 s)');
  });
});

describe('a server that refuses', () => {
  it('by its rules is said for each kind, with what to grant', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    for (const plural of ['pods', 'networkpolicies']) server.gate.forbid(plural, 'watch');
    using follower = new Follower(server);
    await follower.until(({ warnings }) => warnings.length === 2);
    expect(follower.warnings).toContain(
      `API server ${server.url}: pods is forbidden: User "system:admin" cannot watch resource "pods" in API group "" at the cluster scope: bind the agent's ServiceAccount to a ClusterRole with list and watch of pods; retried, and what was known stays in force`,
    );
    for (const plural of ['pods', 'networkpolicies']) server.gate.allow(plural, 'watch');
    await follower.synced();
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(types(follower).sort()).toEqual([
      'fault FORBIDDEN',
      'fault FORBIDDEN',
      'recovered FORBIDDEN',
      'recovered FORBIDDEN',
    ]);
  });

  it('because it is busy is left alone as long as it asks', async () => {
    const clock = new Clock();
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    server.fail({ resource: 'pods', code: 429, message: 'too many requests', retryAfter: 7 });
    using follower = new Follower(server, { scheduler: clock, random: () => 0, timing: {} });
    await clock.waiting(7000);
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('asks for patience with pods (too many requests)');
    clock.advance(7000);
    await follower.synced();
  });

  it('with a fault of its own is said in its words, and again when it happens again later', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    server.fail({ resource: 'pods', code: 500, message: 'etcdserver: request timed out', times: 3 });
    using follower = new Follower(server);
    await follower.synced();
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(types(follower)).toEqual(['fault SERVER', 'recovered SERVER']);
    expect(follower.notices[0]?.message).toContain('etcdserver: request timed out');
    server.fail({ resource: 'pods', code: 503 });
    for (const watch of server.watches('pods')) watch.cut();
    await follower.until(({ notices }) => notices.length === 4);
  });

  it('and says another thing then is heard', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    server.fail({ resource: 'pods', code: 500, times: 2 });
    server.fail({ resource: 'pods', code: 403, times: 2 });
    using follower = new Follower(server);
    await follower.synced();
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(types(follower)).toEqual(['fault SERVER', 'recovered SERVER', 'fault FORBIDDEN', 'recovered FORBIDDEN']);
  });
});

describe('watches that do not last', () => {
  it('are said when they break again and again, not when they break now and then', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server, { timing: { ...HASTE, proven: 10_000 } });
    await follower.synced();
    for (let round = 1; round <= 3; round++) {
      expect(follower.notices).toEqual([]);
      const reopened = server.request(
        ({ resource, verb, status }) => resource === 'pods' && verb === 'watch' && status === 200,
      );
      for (const watch of server.watches('pods')) watch.cut();
      await reopened;
    }
    expect(types(follower)).toEqual(['fault CUT']);
    server.put(pod('shop', 'new'));
    await follower.until(({ warnings, objects }) => objects.has('Pod shop/new') && warnings.length === 0);
  });
});
