// `selvedge flows --all-nodes`: found through an API server, asked by its exec.
import { expect, it, onTestFinished, vi } from 'vitest';
import type { Flow } from '../../src/api/contract.ts';
import { selvedge } from '../observe/command.ts';
import { type AgentPod, ExecServer } from './exec-server.ts';

function flow(node: string): Flow {
  return {
    kind: 'flow',
    time: '2026-11-21T10:00:00.000Z',
    node,
    verdict: 'deny',
    reason: 'drop-policy',
    direction: 'ingress',
    from: { pod: `shop/client-${node}` as never },
    to: { pod: 'shop/web' as never },
    protocol: 'TCP',
    port: 80,
    policies: ['shop/deny' as never],
    count: 1,
  };
}

const agent = (node: string, commands: string[][]): AgentPod => ({
  name: `selvedge-${node}`,
  node,
  answer: (command) => {
    commands.push([...command]);
    return { out: [JSON.stringify(flow(node))] };
  },
});

it('asks every agent what it was asked, and tells all that they say', async () => {
  const commands: string[][] = [];
  const waiting = { name: 'selvedge-new', node: 'node3', phase: 'Pending' };
  await using server = await ExecServer.listen([agent('node1', commands), agent('node2', commands), waiting]);
  const args = ['--all-nodes', '--kubeconfig', server.kubeconfig, '--port', '80', '--last', '5', '-f'];
  const { code, stdout, stderr } = await selvedge(['flows', ...args, '-o', 'json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const nodes = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as Flow).node);
  expect(nodes.sort()).toEqual(['node1', 'node2']);
  const command = ['selvedge', 'flows', '-o', 'json', '--port', '80', '--follow', '--keep-alive', '--last', '5'];
  expect(commands).toEqual([command, command]);
  expect(server.asked).toEqual([
    expect.stringMatching(/namespaces\/kube-system\/pods\?labelSelector=app.kubernetes.io%2Fname%3Dselvedge/),
  ]);
});

it('goes on with the others when one cannot be asked, names it and fails', async () => {
  const commands: string[][] = [];
  const refused = { name: 'selvedge-node2', node: 'node2' };
  const broken: AgentPod = {
    name: 'selvedge-node3',
    node: 'node3',
    answer: () => ({ err: ['selvedge: no agent listens'], failure: 'exit code 1' }),
  };
  await using server = await ExecServer.listen([agent('node1', commands), refused, broken]);
  const { code, stdout, stderr } = await selvedge(['flows', '--all-nodes', '--kubeconfig', server.kubeconfig]);
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^TIME +NODE +VERDICT .*\n10:00:00.000 +node1 +denied +shop\/client-node1 +shop\/web +80\/tcp +ingress isolated by shop\/deny/,
  );
  expect(stderr).toMatch(/^selvedge: node2: .*403/m);
  expect(stderr).toMatch(/^selvedge: node3: selvedge: no agent listens$/m);
});

it.each([
  [
    'says why itself',
    { err: ['selvedge: no agent listens'], failure: 'exit code 1' },
    /^selvedge: node1: selvedge: no/,
  ],
  ['fails', { failure: 'exit code 137' }, /^selvedge: node1: exit code 137$/m],
  ['is cut off', { cut: true }, /^selvedge: node1: the connection ended before the command did$/m],
])('fails when the only agent %s', async (_, said, words) => {
  await using server = await ExecServer.listen([{ name: 'selvedge-node1', node: 'node1', answer: () => said }]);
  const { code, stderr } = await selvedge(['flows', '--all-nodes', '--kubeconfig', server.kubeconfig]);
  expect(code).toBe(1);
  expect(stderr).toMatch(words);
  expect(stderr.trim().split('\n').length).toBe(1);
});

it('names the node whose agent says what is no flow, and goes on', async () => {
  const out = ['a warning of the runtime', '', '{"kind":"odd"}', JSON.stringify(flow('node1'))];
  await using server = await ExecServer.listen([{ name: 'selvedge-node1', node: 'node1', answer: () => ({ out }) }]);
  const { stdout, stderr } = await selvedge(['flows', '--all-nodes', '--kubeconfig', server.kubeconfig, '-o', 'json']);
  expect(JSON.parse(stdout)).toEqual(flow('node1'));
  expect(stderr).toBe(
    'selvedge: node1: says what is no flow: a warning of the runtime\nselvedge: node1: says what is no flow: {"kind":"odd"}\n',
  );
});

it('says where it has looked when there is no agent, and no API server', async () => {
  await using server = await ExecServer.listen([]);
  const none = await selvedge(['flows', '--all-nodes', '--kubeconfig', server.kubeconfig, '--agent-namespace', 'net']);
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^selvedge: no pod of namespace net with app.kubernetes.io\/name=selvedge runs/),
  });
  const absent = await selvedge(['flows', '--all-nodes', '--kubeconfig', '/nonexistent']);
  expect(absent.code).toBe(1);
  expect(absent.stderr).toContain('/nonexistent');
});

it('says that nobody has named an API server', async () => {
  const nowhere = { KUBECONFIG: '', HOME: '/nonexistent', KUBERNETES_SERVICE_HOST: '' };
  for (const [name, value] of Object.entries(nowhere)) vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { code, stderr } = await selvedge(['flows', '--all-nodes']);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^selvedge: neither --kubeconfig nor KUBECONFIG, /)]);
});
