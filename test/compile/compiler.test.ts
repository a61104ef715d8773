/** What each construct compiles to, by example. */
import { describe, expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import type { ClusterEvent, ClusterObject } from '../../src/model/cluster.ts';
import { block, named, namespace, pod, pods, policy, put, remove, rule, selector, tcp } from './build.ts';
import { dump } from './dump.ts';

function compiled(...objects: ClusterObject[]): Compiler {
  return after(put(...objects));
}

function after(...steps: ClusterEvent[][]): Compiler {
  const compiler = new Compiler({ node: 'here' });
  for (const events of steps) compiler.apply(events);
  return compiler;
}

const web = pod('shop/web', '10.0.0.1 fd00::1');
const api = pod('shop/api', '10.0.0.2', { ports: [{ name: 'http', protocol: 'TCP', port: 8080 }] });
const away = pod('shop/away', '10.0.1.3', { node: 'there', ports: [{ name: 'http', protocol: 'TCP', port: 80 }] });

describe('endpoints', () => {
  test('are the pods of this node that have addresses of their own', () => {
    const host = pod('shop/host', '192.168.0.1', { hostNetwork: true });
    const done = pod('shop/done', '10.0.0.1', { finished: true });
    const unbound = pod('shop/unbound', '10.0.0.9');
    const { node: _, ...nowhere } = unbound;
    expect(dump(compiled(web, away, host, done, nowhere)).endpoints).toEqual({
      'shop/web': { pod: 'shop/web', addresses: ['10.0.0.1', 'fd00::1'] },
    });
  });

  test('hold a ruleset in each direction in which a policy isolates them', () => {
    const both = policy('shop/both', { policyTypes: ['ingress', 'egress'] });
    const { endpoints, rulesets } = dump(
      compiled(web, api, both, policy('shop/a', { podSelector: selector({ app: 'web' }) })),
    );
    expect(endpoints).toMatchObject({
      'shop/api': { ingress: 'ingress shop/both', egress: 'egress shop/both' },
      'shop/web': { ingress: 'ingress shop/a shop/both', egress: 'egress shop/both' },
    });
    expect(rulesets['ingress shop/a shop/both']).toEqual({
      id: 'ingress shop/a shop/both',
      direction: 'ingress',
      policies: ['shop/a', 'shop/both'],
      rules: [],
    });
  });

  test('are under policies of their own namespace only, and of the directions that these name', () => {
    const compiler = compiled(web, policy('other/deny'), policy('shop/in', { egress: [rule([])] }));
    expect(dump(compiler).endpoints).toMatchObject({ 'shop/web': { ingress: 'ingress shop/in' } });
    expect(compiler.state.endpoints.get('shop/web' as never)?.egress).toBeUndefined();
  });

  test('are awaited while they have no address, and say whether they will be isolated', () => {
    const compiler = compiled(pod('shop/web', ''), pod('free/web', ''), policy('shop/deny'));
    expect(dump(compiler)).toMatchObject({
      endpoints: {},
      awaited: { 'shop/web': { isolated: true }, 'free/web': { isolated: false } },
    });
    compiler.takeChanges();
    compiler.apply(put(web));
    expect([...compiler.takeChanges().endpoints]).toEqual(['shop/web']);
    expect([...compiler.state.awaited.keys()]).toEqual(['free/web']);
  });
});

describe('sets of pods', () => {
  const from = (...peers: Parameters<typeof rule>[0]) => policy('shop/in', { ingress: [rule(peers)] });

  test('are the policy’s own namespace for a podSelector alone', () => {
    const stranger = pod('other/web', '10.0.0.7');
    expect(dump(compiled(web, api, stranger, from(pods({ app: 'web' })))).members).toEqual({
      'pods shop/{app=web}': ['10.0.0.1', 'fd00::1'],
    });
  });

  test('are the selected namespaces for a namespaceSelector, with or without a podSelector', () => {
    const team = { namespaceSelector: selector({ team: 'a' }) };
    const compiler = compiled(
      namespace('shop'),
      namespace('a1', { team: 'a' }),
      pod('a1/web', '10.0.0.5'),
      pod('a1/db', '10.0.0.6'),
      web,
      from({ kind: 'pods', ...team }, { kind: 'pods', ...team, podSelector: selector({ app: 'db' }) }),
    );
    expect(dump(compiler).members).toEqual({
      'pods ns{team=a} pod{}': ['10.0.0.5', '10.0.0.6'],
      'pods ns{team=a} pod{app=db}': ['10.0.0.6'],
    });
    compiler.apply(put(namespace('shop', { team: 'a' }), namespace('a1')));
    expect(dump(compiler).members).toEqual({
      'pods ns{team=a} pod{}': ['10.0.0.1', 'fd00::1'],
      'pods ns{team=a} pod{app=db}': [],
    });
  });

  test('know a namespace without an object by its name', () => {
    const byName = selector({ 'kubernetes.io/metadata.name': 'shop' });
    const compiler = compiled(web, from({ kind: 'pods', namespaceSelector: byName }));
    expect(dump(compiler).members).toEqual({
      'pods ns{kubernetes.io/metadata.name=shop} pod{}': ['10.0.0.1', 'fd00::1'],
    });
  });

  test('leave out pods of the node’s network, finished ones and those without an address', () => {
    const compiler = compiled(
      web,
      pod('shop/host', '192.168.0.1', { hostNetwork: true }),
      pod('shop/done', '10.0.0.8', { finished: true }),
      pod('shop/new', ''),
      from(pods({})),
    );
    expect(dump(compiler).members).toEqual({ 'pods shop/{}': ['10.0.0.1', 'fd00::1'] });
  });

  test('are kept only for policies that select a pod of this node', () => {
    const compiler = compiled(away, from(pods({})));
    expect(dump(compiler)).toMatchObject({ sets: {}, rulesets: {}, memberships: {} });
    compiler.apply(put(web));
    expect(dump(compiler).members).toEqual({ 'pods shop/{}': ['10.0.0.1', '10.0.1.3', 'fd00::1'] });
    compiler.apply([remove('Pod', 'shop/web')]);
    expect(dump(compiler)).toMatchObject({ sets: {}, rulesets: {}, memberships: {} });
  });

  test('share one object among addresses of the same sets', () => {
    const { memberships } = compiled(web, api, from(pods({}))).state;
    expect(memberships.get('10.0.0.1' as never)).toBe(memberships.get('10.0.0.2' as never));
  });
});

describe('blocks', () => {
  test('are sets by their canonical text and list no members', () => {
    const peer = block('10.0.0.0/8', '10.2.0.0/16', '10.1.0.0/16', '10.2.0.0/16');
    const compiler = compiled(web, policy('shop/in', { ingress: [rule([peer])] }));
    expect(dump(compiler)).toMatchObject({ memberships: {}, members: {} });
    expect(dump(compiler).sets).toEqual({
      'ipBlock 10.0.0.0/8 except 10.1.0.0/16,10.2.0.0/16': {
        kind: 'ipBlock',
        id: 'ipBlock 10.0.0.0/8 except 10.1.0.0/16,10.2.0.0/16',
        cidr: '10.0.0.0/8',
        except: ['10.1.0.0/16', '10.2.0.0/16'],
      },
    });
  });
});

describe('ports', () => {
  const rulesOf = (compiler: Compiler, id: string) => compiler.state.rulesets.get(id as never)?.rules;

  test('are every port of every protocol only when a rule names none', () => {
    const compiler = compiled(web, policy('shop/in', { ingress: [rule([]), rule([], [tcp(0, 65535)])] }));
    expect(rulesOf(compiler, 'ingress shop/in')).toEqual([
      { ref: { policy: 'shop/in', direction: 'ingress', index: 0 }, peers: 'anyone', ports: 'every' },
      {
        ref: { policy: 'shop/in', direction: 'ingress', index: 1 },
        peers: 'anyone',
        ports: [{ protocol: 'TCP', from: 0, to: 65535 }],
      },
    ]);
  });

  test('are merged where they overlap or touch', () => {
    const ports = [tcp(90), tcp(80, 85), tcp(86, 88), tcp(82, 84)];
    const compiler = compiled(web, policy('shop/in', { ingress: [rule([], ports)] }));
    expect(rulesOf(compiler, 'ingress shop/in')?.[0]?.ports).toEqual([
      { protocol: 'TCP', from: 80, to: 88 },
      { protocol: 'TCP', from: 90, to: 90 },
    ]);
  });

  test('named in ingress are the holder’s, so that pods with other meanings hold other rulesets', () => {
    const other = pod('shop/other', '10.0.0.4', { ports: [{ name: 'http', protocol: 'TCP', port: 81 }] });
    const compiler = compiled(web, api, other, policy('shop/in', { ingress: [rule([], [named('http')])] }));
    expect([...compiler.state.endpoints.values()].map(({ ingress }) => ingress)).toEqual([
      'ingress shop/in where http/TCP=none',
      'ingress shop/in where http/TCP=8080',
      'ingress shop/in where http/TCP=81',
    ]);
    expect(rulesOf(compiler, 'ingress shop/in where http/TCP=none')).toEqual([]);
    expect(rulesOf(compiler, 'ingress shop/in where http/TCP=81')?.[0]?.ports).toEqual([
      { protocol: 'TCP', from: 81, to: 81 },
    ]);
  });

  test('named in egress are each destination’s, and only pods have any', () => {
    const out = policy('shop/out', {
      policyTypes: ['egress'],
      egress: [rule([pods({}), block('10.0.1.0/24')], [named('http'), tcp(53)])],
    });
    const compiler = compiled(web, api, away, out);
    expect(rulesOf(compiler, 'egress shop/out')?.map(({ peers, ports }) => ({ peers, ports }))).toEqual([
      { peers: ['ipBlock 10.0.1.0/24', 'pods shop/{}'], ports: [{ protocol: 'TCP', from: 53, to: 53 }] },
      {
        peers: ['named http/TCP=80 of ipBlock 10.0.1.0/24', 'named http/TCP=80 of pods shop/{}'],
        ports: [{ protocol: 'TCP', from: 80, to: 80 }],
      },
      { peers: ['named http/TCP=8080 of pods shop/{}'], ports: [{ protocol: 'TCP', from: 8080, to: 8080 }] },
    ]);
    expect(dump(compiler).members).toMatchObject({
      'named http/TCP=80 of ipBlock 10.0.1.0/24': ['10.0.1.3'],
      'named http/TCP=80 of pods shop/{}': ['10.0.1.3'],
      'named http/TCP=8080 of pods shop/{}': ['10.0.0.2'],
    });
    compiler.takeChanges();
    compiler.apply([remove('Pod', 'shop/away')]);
    expect(rulesOf(compiler, 'egress shop/out')).toHaveLength(2);
    expect([...compiler.takeChanges().rulesets]).toEqual(['egress shop/out']);
  });

  test('named in egress to anyone are looked up on all pods', () => {
    const out = policy('shop/out', { policyTypes: ['egress'], egress: [rule([], [named('http')])] });
    expect(dump(compiled(web, away, out)).members).toEqual({ 'named http/TCP=80 of anyone': ['10.0.1.3'] });
  });
});

describe('an address', () => {
  const admitWeb = policy('shop/in', { ingress: [rule([pods({ app: 'web' })])] });

  test('of a finished pod belongs to its next holder at once', () => {
    const compiler = compiled(web, pod('shop/next', '10.0.0.9'), admitWeb);
    compiler.apply(put({ ...web, finished: true }, pod('shop/next', '10.0.0.1')));
    expect(dump(compiler).members).toEqual({ 'pods shop/{app=web}': [] });
  });

  test('that two active pods claim is only in the sets of both', () => {
    const twin = pod('shop/twin', '10.0.0.1', { node: 'there' });
    const compiler = compiled(web, api, twin, admitWeb, policy('shop/all', { ingress: [rule([pods({})])] }));
    expect(dump(compiler).memberships).toMatchObject({
      '10.0.0.1': ['pods shop/{}'],
      'fd00::1': ['pods shop/{app=web}', 'pods shop/{}'],
    });
    expect(dump(compiler).conflicts).toEqual({});
  });

  test('that two active pods of this node claim is a conflict until one lets go', () => {
    const compiler = compiled(web, pod('shop/twin', '10.0.0.1'));
    expect(dump(compiler).conflicts).toEqual({ '10.0.0.1': ['shop/twin', 'shop/web'] });
    compiler.takeChanges();
    compiler.apply([remove('Pod', 'shop/twin')]);
    expect(compiler.conflicts.size).toBe(0);
    expect([...compiler.takeChanges().endpoints].sort()).toEqual(['shop/twin', 'shop/web']);
  });
});

describe('changes', () => {
  const admitWeb = policy('shop/in', { ingress: [rule([pods({ app: 'web' })], [tcp(80)])] });

  test('of a pod that joins a known set are its addresses', () => {
    const compiler = compiled(web, api, admitWeb);
    compiler.takeChanges();
    compiler.apply(put({ ...away, labels: { app: 'web' } }));
    expect(compiler.takeChanges()).toEqual({
      endpoints: new Set(),
      rulesets: new Set(),
      sets: new Set(),
      addresses: new Set(['10.0.1.3']),
    });
  });

  test('of a policy’s content keep the ruleset’s id, and name it', () => {
    const compiler = compiled(web, admitWeb);
    compiler.takeChanges();
    compiler.apply(put({ ...admitWeb, ingress: [rule([pods({ app: 'web' })], [tcp(81)])] }));
    expect(compiler.takeChanges()).toEqual({
      endpoints: new Set(),
      rulesets: new Set(['ingress shop/in']),
      sets: new Set(),
      addresses: new Set(),
    });
  });

  test('of a policy that moves in its file are none', () => {
    const compiler = compiled(web, admitWeb);
    compiler.takeChanges();
    compiler.apply(put({ ...admitWeb, origin: { file: 'all.yaml', document: 2, line: 17 } }));
    expect(compiler.takeChanges().rulesets.size).toBe(0);
  });

  test('of a policy deleted and made again in one step are none', () => {
    const compiler = compiled(web, admitWeb);
    const before = dump(compiler);
    compiler.takeChanges();
    compiler.apply([remove('NetworkPolicy', 'shop/in'), ...put(admitWeb)]);
    expect(dump(compiler)).toEqual(before);
    expect(compiler.takeChanges().rulesets.size).toBe(0);
  });
});
