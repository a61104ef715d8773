// What the benchmark's pods run in a cluster, run here by the very command lines of its manifests: servers in one network namespace,
// clients in another, names of Services replaced by an address, as nobody resolves them.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { manifestsOf } from '../../../src/bench/cluster/manifests.ts';
import { CLUSTER_DEFAULTS } from '../../../src/bench/cluster/options.ts';
import { serveTurns, takeTurn } from '../../../src/bench/cluster/turns.ts';
import { parseReports, type SavedReport } from '../../../src/bench/compare/report/index.ts';
import { joinReports } from '../../../src/bench/compare/report/join-reports.ts';
import { type RunningCommand, run, start } from '../../../src/child-process.ts';
import { netns } from '../../../src/native.ts';
import { ip, TestNamespace } from '../../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../../support/privilege.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SERVER = '192.0.2.1';
const { signal } = new AbortController();

interface Container {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
}

/** The command lines of all containers of those whose name begins so. */
function commandLines(kind: string, name: string): string[][] {
  const manifests = [...manifestsOf({ ...CLUSTER_DEFAULTS, policies: 5, rounds: 2, nodes: 'same', name: 'none here' })];
  return manifests.flatMap((manifest): string[][] => {
    if (manifest.kind !== kind || !(manifest.metadata as { name: string }).name.startsWith(name)) return [];
    const { spec } = manifest as { spec: { template: { spec: { containers: readonly Container[] } } } };
    return spec.template.spec.containers.map(({ command = ['/opt/selvedge/bin/selvedge'], args = [] }) =>
      [...command, ...args].map((word) => {
        const here = word
          .replace('/opt/selvedge/', ROOT)
          .replace('$(POD_IP)', SERVER)
          .replace('$(NODE_NAME)', 'node-7');
        return ['server', 'free-server', 'turns'].includes(here) ? SERVER : here;
      }),
    );
  });
}

describeAsRoot('pods of selvedge bench --cluster', () => {
  let servers: TestNamespace;
  let clients: TestNamespace;
  const running: RunningCommand[] = [];

  beforeAll(() => {
    servers = new TestNamespace('bench', []);
    clients = new TestNamespace('bench', []);
    const lines = [
      `link add eth0 netns ${servers.name} type veth peer name eth0 netns ${clients.name}`,
      ...[servers, clients].map(({ name }, index) => `-n ${name} address add 192.0.2.${index + 1}/24 dev eth0`),
      ...[servers, clients].map(({ name }) => `-n ${name} link set eth0 up`),
    ];
    for (const line of lines) ip(line.split(' '));
    for (const [program = '', ...args] of [
      ...commandLines('Deployment', 'server'),
      ...commandLines('Deployment', 'turns'),
    ]) {
      running.push(netns.run(servers.name, () => start(program, args, { onLine: () => {} })));
    }
  });

  afterAll(async () => {
    for (const command of running) command.kill('SIGKILL');
    await Promise.all(running.map(({ ended }) => ended));
    servers.close();
    clients.close();
  });

  async function runClients(): Promise<SavedReport[]> {
    const ended = commandLines('Job', 'client').map(([program = '', ...args]) =>
      netns.run(clients.name, () => ({ log: run(program, [...args, '--seconds', '0.05']) })),
    );
    const logs = await Promise.all(ended.map(({ log }) => log));
    // All at once, as kubectl prints the logs of several pods.
    return [...parseReports(`first words\n${logs.join('')}`, 'logs')];
  }

  it('measure all together, and their logs are reports that can be put side by side', async () => {
    const reports = await runClients();
    expect(reports.map(({ figures }) => figures[0]?.traffic)).toEqual(['allowed', 'unselected']);
    const { figures, nodes } = joinReports(reports.map((report) => ({ source: 'logs', report })));
    expect(nodes).toEqual(['node-7']);
    expect(new Set(figures.map(({ engine }) => engine))).toEqual(new Set(['none here']));
    expect(new Set(figures.map(({ policies }) => policies))).toEqual(new Set([5]));
    const measures = ['latency-p50', 'latency-p99', 'connect-p50', 'connect-p99', 'connect-rate', 'udp-rate'];
    expect(figures.map(({ measure }) => measure)).toEqual(expect.arrayContaining(measures));
    expect(figures.every(({ samples, median, ratio }) => samples.length === 2 && median > 0 && !ratio)).toBe(true);
  });

  it('tell whether anybody enforces', async () => {
    const told = (reports: SavedReport[]) =>
      reports.map(({ left }) => left.filter((line) => !line.includes('in the lab alone')));
    const [allowed, unselected] = told(await runClients());
    expect(allowed).toEqual([expect.stringContaining('nobody enforces')]);
    expect(unselected).toEqual([]);
    const drop = ['-A', 'INPUT', '-p', 'tcp', '--dport', '5300', '-j', 'DROP'];
    await netns.run(servers.name, () => ({ ended: run('iptables-nft', drop) })).ended;
    const [enforced, free] = told(await runClients());
    expect(enforced).toEqual([]);
    expect(free).toEqual([expect.stringContaining('5300 is closed')]);
  });
});

it('turns go to one after the other, in the order in which they are asked for', async () => {
  await using turns = await serveTurns(0, '127.0.0.1');
  const order: string[] = [];
  let inside = 0;
  const client = async (name: string) => {
    for (let round = 0; round < 3; round++) {
      using _turn = await takeTurn('127.0.0.1', turns.port, signal);
      expect(++inside).toBe(1);
      order.push(name);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    }
  };
  await Promise.all(['a', 'b'].map(client));
  expect(order.toSorted().join('')).toBe('aaabbb');
});

it('a turn whose holder goes is the next one', async () => {
  await using turns = await serveTurns(0, '127.0.0.1');
  const first = await takeTurn('127.0.0.1', turns.port, signal);
  const second = takeTurn('127.0.0.1', turns.port, signal);
  first[Symbol.dispose]();
  using _turn = await second;
});

it('nobody waits for a turn that cannot come', async () => {
  const turns = await serveTurns(0, '127.0.0.1');
  using _first = await takeTurn('127.0.0.1', turns.port, signal);
  const second = takeTurn('127.0.0.1', turns.port, signal);
  const failed = expect(second).rejects.toThrow();
  await turns[Symbol.asyncDispose]();
  await failed;
  const stopped = new AbortController();
  stopped.abort(new Error('enough'));
  await expect(takeTurn('127.0.0.1', turns.port, stopped.signal)).rejects.toThrow();
});
