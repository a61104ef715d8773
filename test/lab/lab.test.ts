// The network and the probes, on the real kernel. What may pass is nobody's business here but the tests' own.
import { afterEach, expect, it } from 'vitest';
import { run } from '../../src/child-process.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { LabCluster } from '../../src/lab/lab-cluster.ts';
import { macOf } from '../../src/lab/network/names.ts';
import type { Backend } from '../../src/lab/network/node-plan.ts';
import { Listeners } from '../../src/lab/probing/listeners.ts';
import { probe } from '../../src/lab/probing/probe.ts';
import type { ProbeOutcome } from '../../src/lab/probing/probe-attempt.ts';
import { crc32c } from '../../src/lab/probing/sctp-attempt.ts';
import type { Address } from '../../src/model/address.ts';
import type { Query } from '../../src/model/query.ts';
import { netns } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ask, askAll, node, pod, tcp } from './small-cluster.ts';

const nodes = [node(1), node(2)];
const pods = [pod('web', 1, 5), pod('api', 1, 6), pod('database', 2, 5), pod('dns', 2, 6)];
let lab: Lab | undefined;

async function start(cluster: LabCluster, backend: Backend = 'vxlan'): Promise<Lab> {
  lab = await Lab.start({ cluster, backend });
  return lab;
}

afterEach(() => {
  lab?.close();
  lab = undefined;
});

/** What each query that was not allowed came to, with its ends. */
function others(queries: readonly Query[], outcomes: readonly ProbeOutcome[]): unknown[] {
  return queries.flatMap((query, index) => {
    const outcome = outcomes[index];
    return outcome?.verdict === 'allow' && outcome.answeredBy !== undefined ? [] : [{ query, outcome }];
  });
}

describeAsRoot('a lab without policy', () => {
  for (const backend of ['vxlan', 'host-gw'] as const) {
    it(`connects all pods, nodes and outside addresses in both families (${backend})`, async () => {
      const network = await start({ nodes, pods }, backend);
      const names = pods.map(({ namespace, name }) => `${namespace}/${name}`);
      const queries = [
        ...askAll(names),
        ...askAll([...names, '203.0.113.9', '172.30.0.2', '10.244.2.1'], ['IPv4']),
        ...askAll([...names, '2001:db8::9', 'fd00:172:30::3', 'fd00:10:244:1::1'], ['IPv6']),
      ];
      const started = performance.now();
      const outcomes = await network.probeAll(queries);
      console.log(`${backend}: ${queries.length} probes in ${Math.round(performance.now() - started)} ms`);
      expect(others(queries, outcomes)).toEqual([]);
    });

    it(`reaches pods whose addresses come from elsewhere, and outside addresses in a pod subnet (${backend})`, async () => {
      const strays = [
        pod('neighbour', 2, 7, { addresses: ['10.244.1.99', 'fd00:10:244:1::99'] as Address[] }),
        pod('foreign', 1, 8, { addresses: ['192.0.2.8', '2001:db8:8::8'] as Address[] }),
      ];
      const network = await start({ nodes, pods: [...pods, ...strays] }, backend);
      const names = [...pods, ...strays].map(({ name }) => `shop/${name}`);
      const queries = [...askAll([...names, '10.244.2.200', '172.30.0.4'], ['IPv4']), ...askAll(names, ['IPv6'])];
      expect(others(queries, await network.probeAll(queries))).toEqual([]);
    });
  }

  it('says who answers', async () => {
    const network = await start({ nodes, pods });
    expect(await network.probeAll([ask('web', 'database'), ask('web', '203.0.113.9', '53/udp')])).toEqual([
      { verdict: 'allow', answeredBy: 'shop/database' },
      { verdict: 'allow', answeredBy: '203.0.113.9' },
    ]);
  });

  it('has pods of one family only, and names questions that have none in common', async () => {
    const only6 = pod('only6', 2, 9, { addresses: ['fd00:10:244:2::9'] as Address[] });
    const network = await start({ nodes, pods: [...pods, only6] });
    const outcomes = await network.probeAll([
      ask('web', 'only6'),
      ask('web', 'only6', '80/tcp', 'IPv4'),
      ask('only6', '203.0.113.9'),
      ask('web', 'nobody'),
    ]);
    expect(outcomes).toEqual([
      { verdict: 'allow', answeredBy: 'shop/only6' },
      { verdict: 'error', reason: expect.stringContaining('do not both have IPv4') },
      { verdict: 'error', reason: expect.stringContaining('have no family in common') },
      { verdict: 'error', reason: 'there is no pod shop/nobody' },
    ]);
  });

  it('gives an address that two pods claim to both, and expects nothing of them', async () => {
    const twin = pod('twin', 1, 9, { addresses: ['10.244.2.5', 'fd00:10:244:1::9'] as Address[] });
    const network = await start({ nodes, pods: [...pods, twin] });
    const [first, second] = network.interfaces();
    expect([...(first?.pods.values() ?? []), ...(second?.pods.values() ?? [])]).toEqual([
      'shop/api',
      'shop/web',
      'shop/dns',
    ]);
    expect(await network.probeAll([ask('web', '10.244.2.5'), ask('twin', 'web', '80/tcp', 'IPv6')])).toEqual([
      { verdict: 'error', reason: '10.244.2.5 is the address of several pods: ask by name' },
      { verdict: 'allow', answeredBy: 'shop/web' },
    ]);
  });

  it('lets pods of the host’s network speak and listen on their node’s addresses', async () => {
    const host = pod('host', 1, 0, { hostNetwork: true, addresses: [], ports: [tcp(9100)] });
    const network = await start({ nodes, pods: [...pods, host] });
    const queries = [
      ask('database', 'host', '9100/tcp'),
      ask('host', 'database', '53/udp', 'IPv6'),
      ask('host', 'web'),
    ];
    expect(others(queries, await network.probeAll(queries))).toEqual([]);
    expect(network.stations.find({ kind: 'pod', key: 'shop/host' as never })[0]?.namespace).toContain('-node1');
  });

  it('comes up with 20 pods and answers 400 questions, half of them by silence', async () => {
    const many = Array.from({ length: 20 }, (_, index) => pod(`pod${index}`, 1 + (index % 2), 10 + index));
    const started = performance.now();
    const network = await start({ nodes, pods: many });
    console.log(`2 nodes with 20 pods up in ${Math.round(performance.now() - started)} ms`);
    const cutOff = many.slice(0, 10).map(({ name }) => name);
    await cut(network, cutOff);
    const queries = many.flatMap(({ name: from }) => many.map(({ name: to }) => ask(from, to)));
    const asked = performance.now();
    const outcomes = await network.probeAll(queries);
    console.log(`400 questions answered in ${Math.round(performance.now() - asked)} ms`);
    const wanted = many.flatMap(({ name: from }) => {
      return many.map(({ name: to }) => (from !== to && cutOff.includes(to) ? 'deny' : 'allow'));
    });
    expect(outcomes.map(({ verdict }) => verdict)).toEqual(wanted);
  });
});

describeAsRoot('a probe', () => {
  it('is denied by silence, over TCP and UDP alike', async () => {
    const network = await start({ nodes, pods });
    await cut(network, ['database']);
    const queries = ['80/tcp', '53/udp'].flatMap((port) => [
      ask('web', 'database', port, 'IPv4'),
      ask('web', 'database', port, 'IPv6'),
    ]);
    expect((await network.probeAll(queries)).map(({ verdict }) => verdict)).toEqual(['deny', 'deny', 'deny', 'deny']);
    expect(await network.probeAll([ask('web', 'dns')])).toMatchObject([{ verdict: 'allow' }]);
  });

  it('is over SCTP an arrival, on a kernel that has no such sockets', async () => {
    const network = await start({ nodes, pods });
    const queries = ['shop/database', 'shop/api', 'shop/web', '203.0.113.9'].map((to) => ask('web', to, '9000/sctp'));
    queries.push(ask('web', 'database', '9000/sctp', 'IPv6'), ask('2001:db8::9', 'dns', '9000/sctp'));
    expect(await network.probeAll(queries)).toEqual(queries.map(() => ({ verdict: 'allow' })));
    await within(network.stations.pairOf(ask('web', 'dns')).to.namespace, 'ip', ['link', 'set', 'eth0', 'down']);
    expect(await network.probeAll([ask('web', 'dns', '9000/sctp')])).toEqual([{ verdict: 'deny' }]);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  it('takes a refusal for an arrival', async () => {
    const network = await start({ nodes, pods });
    const { from, to } = network.stations.pairOf(ask('web', 'database'));
    expect(await probe({ from, to, protocol: 'TCP', port: 7 })).toEqual({ verdict: 'allow' });
    expect(await probe({ from, to, protocol: 'UDP', port: 7 })).toEqual({ verdict: 'allow' });
  });

  it('names a missing route instead of a verdict', async () => {
    const network = await start({ nodes, pods });
    const { from, to } = network.stations.pairOf(ask('web', 'database'));
    await within(from.namespace, 'ip', ['route', 'add', 'unreachable', to.address]);
    expect(await network.probeAll([ask('web', 'database', '80/tcp', 'IPv4')])).toEqual([
      { verdict: 'error', reason: expect.stringContaining('EHOSTUNREACH') },
    ]);
  });
});

describeAsRoot('a lab whose network is not as planned', () => {
  it('does not take the answer of another for a verdict', async () => {
    const network = await start({ nodes, pods });
    const { namespace } = network.stations.pairOf(ask('dns', 'dns')).to;
    const { to } = network.stations.pairOf(ask('web', 'database', '80/tcp', 'IPv4'));
    // The node takes packets for the database to dns, who is given its address and a listener.
    await within(namespace, 'ip', ['address', 'add', `${to.address}/32`, 'dev', 'eth0']);
    const node2 = network.interfaces()[1]?.namespace ?? '';
    await within(node2, 'ip', [
      'neigh',
      'replace',
      to.address,
      'lladdr',
      macOf(namespace),
      'nud',
      'permanent',
      'dev',
      'cni0',
    ]);
    const listeners = new Listeners();
    listeners.ensure({ ...to, namespace, name: 'shop/dns' }, 'TCP', 80);
    const outcomes = await network.probeAll([ask('web', 'database', '80/tcp', 'IPv4')]);
    listeners.close();
    expect(outcomes).toEqual([{ verdict: 'error', reason: 'shop/dns answered for shop/database at 10.244.2.5' }]);
  });
});

describeAsRoot('a lab that follows its cluster', () => {
  it('has pods as they come, go, move and get other addresses', async () => {
    const network = await start({ nodes, pods });
    const first = await network.probeAll([ask('web', 'database')]);
    const late = pod('late', 2, 20, { ports: [tcp(80)] });
    const { made } = await network.update({ nodes, pods: [...pods, late] });
    expect(made.map(({ place }) => place)).toEqual([{ kind: 'pod', node: 'node2', pod: 'shop/late' }]);
    const moved = pod('database', 1, 30);
    const change = await network.update({ nodes, pods: [...pods.slice(0, 2), moved, late] });
    expect(change.removed.map(({ name }) => name.replace(/^slv-[^-]*-/, ''))).toEqual([
      'node2_shop_database',
      'node2_shop_dns',
    ]);
    expect(change.made.map(({ name }) => name.replace(/^slv-[^-]*-/, ''))).toEqual(['node1_shop_database']);
    const queries = askAll(['shop/web', 'shop/late', 'shop/database']);
    expect(others(queries, await network.probeAll(queries))).toEqual([]);
    expect(first).toMatchObject([{ verdict: 'allow' }]);
    expect(await network.probeAll([ask('web', 'dns')])).toEqual([
      { verdict: 'error', reason: 'there is no pod shop/dns' },
    ]);
  });

  it('gives a pod’s address to the next one', async () => {
    const network = await start({ nodes, pods });
    await network.probeAll([ask('web', 'database')]);
    const heir = pod('heir', 2, 5);
    await network.update({ nodes, pods: [...pods.filter(({ name }) => name !== 'database'), heir] });
    expect(await network.probeAll([ask('web', 'heir'), ask('heir', 'web')])).toEqual([
      { verdict: 'allow', answeredBy: 'shop/heir' },
      { verdict: 'allow', answeredBy: 'shop/web' },
    ]);
  });

  it('has nodes as they come and go', async () => {
    const network = await start({ nodes, pods });
    const third = [...nodes, node(3)];
    await network.update({ nodes: third, pods: [...pods, pod('far', 3, 5)] });
    expect(network.interfaces().map((one) => [one.node, [...one.pods.values()]])).toEqual([
      ['node1', ['shop/api', 'shop/web']],
      ['node2', ['shop/database', 'shop/dns']],
      ['node3', ['shop/far']],
    ]);
    const queries = askAll(['shop/far', 'shop/web', 'shop/database']);
    expect(others(queries, await network.probeAll(queries))).toEqual([]);
    await network.update({ nodes: [node(1), node(3)], pods: [pod('web', 1, 5), pod('far', 3, 5)] });
    expect(network.interfaces().map((one) => one.node)).toEqual(['node1', 'node3']);
    const rest = askAll(['shop/far', 'shop/web']);
    expect(others(rest, await network.probeAll(rest))).toEqual([]);
  });

  it('stays as it is when its cluster cannot be played', async () => {
    const network = await start({ nodes, pods });
    const apart = [
      node(1),
      node(2, { addresses: ['fd00::3'] as Address[] }),
      node(3, { addresses: ['172.30.0.9'] as Address[] }),
    ];
    await expect(network.update({ nodes: apart, pods })).rejects.toThrow('have no address of the same family');
    expect(await network.probeAll([ask('web', 'database')])).toMatchObject([{ verdict: 'allow' }]);
  });
});

/** These pods' answers from TCP port 80 and UDP port 53 go nowhere, without a word to anybody. */
async function cut(network: Lab, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { namespace } = network.stations.pairOf(ask(name, name)).to;
    for (const port of ['ipproto tcp sport 80', 'ipproto udp sport 53']) {
      for (const family of ['-4', '-6']) {
        await within(namespace, 'ip', [family, 'rule', 'add', 'pref', '1', ...port.split(' '), 'blackhole']);
      }
    }
  }
}

function within(namespace: string, command: string, args: readonly string[]): Promise<string> {
  return netns.run(namespace, () => ({ output: run(command, args) })).output;
}
