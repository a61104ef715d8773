/** What the lab says of its own connections, and who may run it. */
import { rmSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { run } from '../../src/child-process.ts';
import { clusterOf } from '../../src/lab/cluster-view.ts';
import { answerDifferences, matrixDifferences } from '../../src/lab/probing/self-check.ts';
import type { ClusterObject, NetworkPolicy } from '../../src/model/cluster.ts';
import { computeMatrix } from '../../src/observe/compute-matrix.ts';
import type { Matrix, Outcome } from '../../src/observe/matrix.ts';
import { Reachability } from '../../src/observe/reachability.ts';
import { missingCapabilities } from '../../src/privilege.ts';
import { describeAsRoot, hiddenFromOthers } from '../support/privilege.ts';
import { ask, node, pod, tcp } from './small-cluster.ts';

const closed: NetworkPolicy = {
  kind: 'NetworkPolicy',
  namespace: 'shop',
  name: 'closed',
  podSelector: { requirements: [] },
  policyTypes: ['ingress'],
  ingress: [],
  egress: [],
};
const objects: readonly ClusterObject[] = [
  { kind: 'Namespace', name: 'shop', labels: {} },
  ...[node(1), node(2), pod('web', 1, 5, { ports: [tcp(80)] }), pod('api', 2, 6, { ports: [tcp(80)] }), closed],
];
const view = {
  objects,
  cluster: clusterOf(objects),
  policies: [closed],
  revision: 'one',
  synced: true,
  warnings: [],
};

function measured(outcome: Outcome): Matrix {
  const computed = computeMatrix(new Reachability(objects));
  const cells = computed.cells.map((line) => line.map((cell) => (cell === 'self' ? cell : { ...cell })));
  const [first] = cells.flat().filter((cell) => cell !== 'self');
  if (first !== undefined) first[6] = outcome;
  return { ...computed, cells };
}

describe('a lab', () => {
  it('says nothing when its connections are as the policies say', () => {
    expect(matrixDifferences(view, measured({ verdict: 'deny' }))).toEqual([]);
  });

  it('names each connection that was not', () => {
    expect(matrixDifferences(view, measured({ verdict: 'allow' }))).toEqual([
      'shop/api → shop/web 80/tcp over IPv6: deny by the policies, allow by connection',
    ]);
  });

  it('leaves what has no verdict, and pods that share an address, out of that', () => {
    expect(matrixDifferences(view, measured({ verdict: 'error', reason: 'no route' }))).toEqual([]);
    const twin = pod('twin', 2, 7, { addresses: pod('web', 1, 5).addresses });
    const shared = [...objects, twin];
    expect(
      matrixDifferences({ ...view, objects: shared, cluster: clusterOf(shared) }, measured({ verdict: 'allow' })),
    ).toEqual([]);
  });

  it('compares the answers to queries too, as far as these can be computed', () => {
    const queries = [ask('web', 'api'), ask('web', 'api'), ask('web', 'nobody'), ask('203.0.113.9', 'web')];
    const outcomes = (['allow', 'deny', 'allow', 'allow'] as const).map((verdict) => ({ verdict }));
    expect(answerDifferences({ view, queries, outcomes, services: false })).toEqual([
      'shop/web → shop/api 80/tcp over IPv4: deny by the policies, allow by connection',
      undefined,
      undefined,
      '203.0.113.9 → shop/web 80/tcp over IPv4: deny by the policies, allow by connection',
    ]);
  });
});

test('capabilities are read as the kernel tells them, CAP_SYS_ADMIN standing for those that were split from it', () => {
  const all = ['CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_BPF'] as const;
  expect(missingCapabilities(all, 'CapEff:\t000001ffffffffff\n')).toEqual([]);
  expect(missingCapabilities(all, 'CapEff:\t0000000000000000\n')).toEqual(all);
  expect(missingCapabilities(all, 'CapEff:\t0000000000200000\n')).toEqual(['CAP_NET_ADMIN']);
  expect(missingCapabilities(all, 'CapEff:\t0000008000001000\n')).toEqual(['CAP_PERFMON']);
});

describeAsRoot('without privilege', () => {
  const unprivileged = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const lesser = ['--bounding-set=-sys_admin,-bpf,-perfmon', '--inh-caps=-sys_admin,-bpf,-perfmon'];
  const shop = ['--manifests', 'examples/shop'];
  const said = (args: readonly string[]) =>
    run('setpriv', args).then(
      () => 'nothing',
      ({ exitCode, stderr }) => `${exitCode}: ${stderr}`,
    );

  for (const [command, ...args] of [['demo'], ['lab', ...shop], ['lab', ...shop, '--queries', '/dev/null']]) {
    it(`selvedge ${[command, ...args].join(' ')} says in one line what needs root`, async (context) => {
      if (hiddenFromOthers) context.skip(hiddenFromOthers);
      const words = await said([...unprivileged, './bin/selvedge', command as string, ...args]);
      expect(words).toMatch(/^1: selvedge: selvedge \w+ needs root, to make .*user 65534; try sudo\n$/);
    });
  }

  it('root without CAP_SYS_ADMIN is told so', async () => {
    expect(await said([...lesser, './bin/selvedge', 'demo'])).toContain('as root without CAP_SYS_ADMIN\n');
  });

  it('selvedge agent names the capabilities that it lacks', async (context) => {
    if (hiddenFromOthers) context.skip(hiddenFromOthers);
    const pinDir = `/sys/fs/bpf/selvedge-test-${process.pid}-unprivileged`;
    const agent = ['agent', ...shop, '--node-name', 'node1', '--pin-dir', pinDir, '--socket', ''];
    const words = await said([...unprivileged, './bin/selvedge', ...agent]);
    rmSync(pinDir, { recursive: true, force: true });
    expect(words).toMatch(
      /^1: selvedge: no data plane is possible here: bpf: the agent needs CAP_BPF, .*missing here: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON\): .*E(PERM|ACCES)\)?; ipset: .*\n$/s,
    );
  });
});
