/** `selvedge bench --cluster` and `selvedge bench report`, as a user calls them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderWith, selvedge } from '../../observe/command.ts';
import { madeUpReport } from '../../support/bench/made-up-report.ts';

it('prints manifests to anybody, as it is told', async () => {
  const told = ['--policies', '3', '--namespace', 'here', '--nodes', 'other', '--name', 'calico', '--rounds', '7'];
  const { code, stdout, stderr } = await selvedge(['bench', '--cluster', ...told]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.match(/^kind: NetworkPolicy$/gm)).toHaveLength(3);
  expect(stdout.match(/^kind: Job$/gm)).toHaveLength(2);
  expect(stdout).toContain('kubectl -n here logs');
  expect(stdout).toMatch(/- --name\n\s+- calico\n/);
  expect(stdout).toMatch(/- --rounds\n\s+- "7"\n/);
});

it.each([
  [['--policies', '1,2'], /--policies is one number/],
  [['--report', 'somewhere'], /there is no report yet/],
  [['--namespace', 'Not_A_Name'], /Not_A_Name is no name of a namespace/],
  [['--nodes', 'all'], /Allowed choices are same, other, both/],
  [['--name', '<b>'], /<b> is no name/],
  [['--quick'], /--quick goes not with --cluster/],
])('says what is wrong with %j', async (args, message) => {
  const { code, stdout, stderr } = await selvedge(['bench', '--cluster', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});

it('does not begin a run with what is of --cluster alone', async () => {
  const { code, stdout, stderr } = await selvedge(['bench', '--namespace', 'here']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('--namespace goes only with --cluster');
});

it('draws the logs of jobs', async () => {
  const { figures, ...rest } = madeUpReport({ quick: true });
  const of = (engine: string) =>
    JSON.stringify({ ...rest, figures: figures.map((one) => ({ ...one, engine: `${engine} ${one.engine}` })) });
  const folder = folderWith({ 'calico.log': `round 1 of 5\n${of('calico')}\n` });
  const report = join(folder, 'report');
  const args = ['bench', 'report', '-', join(folder, 'calico.log'), '--report', report];
  const { code, stdout } = await selvedge(args, `waiting for server\n${of('ours')}\n`);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^calico bpf /m);
  expect(stdout).toMatch(/^ours bpf /m);
  expect(existsSync(join(report, 'index.html'))).toBe(true);
});

it('says which file holds no report', async () => {
  const folder = folderWith({ 'empty.log': 'nothing\n' });
  const { code, stderr } = await selvedge(['bench', 'report', join(folder, 'empty.log')]);
  expect(code).toBe(1);
  expect(stderr).toContain('empty.log holds no report of selvedge bench');
});
