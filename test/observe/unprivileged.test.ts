/** `explain` and `matrix` as somebody runs them who may do nothing but read the files. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { privileged } from '../support/privilege.ts';
import { folderWith, manifestText } from './command.ts';

const SELVEDGE = fileURLToPath(new URL('../../bin/selvedge', import.meta.url));
const PODS = ['shop/web', 'shop/api', 'shop/db', 'audit/scan', 'audit/web'];
const QUERIES = 100_000;

const policies = [
  policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  policy('shop/api', { podSelector: { matchLabels: { app: 'api' } }, ingress: [{ ports: [{ port: 'http' }] }] }),
];

/** Without any capability, whoever runs the tests. */
function unprivileged(args: readonly string[], input = ''): string {
  const drop = privileged ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all'] : [];
  const [command, ...rest] = [...drop, SELVEDGE, ...args] as [string, ...string[]];
  const { status, stdout, stderr } = spawnSync(command, rest, { input, encoding: 'utf8', maxBuffer: 2 ** 30 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

test('a hundred thousand queries are answered, each by a line, without a privilege', () => {
  const folder = folderWith({ 'cluster.yaml': manifestText([...cast, ...policies]) });
  const lines = Array.from({ length: QUERIES }, (_, id) => {
    const [from, to] = [PODS[id % 5], PODS[Math.floor(id / 5) % 5]];
    return JSON.stringify({ id, from, to, port: 8080 + (id % 3), protocol: id % 2 === 0 ? 'TCP' : 'UDP' });
  });
  const answers = unprivileged(['explain', '--manifests', folder, '--queries', '-', '-o', 'jsonl'], lines.join('\n'));
  const read = answers.trimEnd().split('\n');
  expect(read).toHaveLength(QUERIES);
  for (const [id, line] of read.entries()) expect(line.startsWith(`{"id":${id},`)).toBe(true);
  const { verdict, egress } = JSON.parse(read[5] as string);
  expect({ verdict, egress: egress.isolatedBy }).toMatchObject({ verdict: 'deny', egress: [{ policy: 'shop/deny' }] });
});

test('the matrix is computed without a privilege', () => {
  const folder = folderWith({ 'cluster.yaml': manifestText(cast), 'policies.yaml': manifestText(policies) });
  const against = ['--against', join(folder, 'cluster.yaml')];
  expect(unprivileged(['matrix', '--manifests', folder, '-o', 'csv']).split('\n').length).toBeGreaterThan(5);
  expect(unprivileged(['matrix', '--manifests', folder, ...against])).toContain('would be allowed, denied now');
});
