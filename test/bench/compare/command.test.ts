/** `selvedge bench` as users run it: a small run to its end, one that is interrupted, and what it refuses. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { parseReport } from '../../../src/bench/compare/report/saved-report.ts';
import { type CommandError, type RunningCommand, run, start } from '../../../src/child-process.ts';
import { knownLabs } from '../../../src/lab/lab-record.ts';
import { labOf, pidOf } from '../../../src/lab/network/names.ts';
import { listNamespaces } from '../../../src/lab/network/network.ts';
import { eventually } from '../../support/eventually.ts';
import { describeAsRoot, hiddenFromOthers } from '../../support/privilege.ts';

const SELVEDGE = fileURLToPath(new URL('../../../bin/selvedge', import.meta.url));

let running: RunningCommand | undefined;

afterEach(async () => {
  running?.kill('SIGKILL');
  await running?.ended;
  running = undefined;
});

async function refused(args: readonly string[], command = SELVEDGE): Promise<CommandError> {
  return await run(command, args).then(
    () => expect.fail('it was not refused'),
    (error) => error as CommandError,
  );
}

/** Labs of a process, by their records and by their namespaces. */
function tracesOf({ pid }: RunningCommand) {
  const labs = knownLabs().filter((lab) => pidOf(lab) === pid);
  const namespaces = listNamespaces().filter((name) => {
    const lab = labOf(name);
    return lab !== undefined && pidOf(lab) === pid;
  });
  return { labs, namespaces };
}

const NOTHING = { labs: [], namespaces: [] };

/** A run that has made something. */
async function begun(args: readonly string[]): Promise<RunningCommand> {
  const command = start(SELVEDGE, ['bench', '--quick', ...args], { onLine: () => {} });
  running = command;
  await eventually(() => expect(tracesOf(command).namespaces).not.toEqual([]));
  return command;
}

describeAsRoot('selvedge bench', () => {
  it('ends with a report that can be read again, and leaves nothing behind', async () => {
    const lines: string[] = [];
    const args = ['bench', '--quick', '--engines', 'none,bpf', '--policies', '10', '--rounds', '1', '-o', 'json'];
    const command = start(SELVEDGE, args, { onLine: (line) => lines.push(line) });
    running = command;
    expect(await command.ended).toBe('exited with 0');
    // What it says while it runs stands before.
    const report = parseReport(lines.slice(lines.indexOf('{')).join('\n'), 'the output');
    expect(report).toMatchObject({ version: 1, quick: true, rounds: 1, left: [] });
    expect(report.machine.kernel).not.toBe('');
    const told = report.figures.map(({ engine, measure }) => `${engine} ${measure}`);
    for (const engine of ['none', 'bpf']) {
      expect(told).toEqual(expect.arrayContaining([`${engine} latency-p50`, `${engine} connect-p50`]));
    }
    const latency = report.figures.find(({ engine, measure }) => engine === 'bpf' && measure === 'latency-p50');
    expect(latency?.samples).toHaveLength(1);
    expect(latency?.ratio?.median).toBeGreaterThan(0);
    expect(told).toContain('bpf load-time');
    expect(report.goals.map(({ what }) => what)).toContain(
      'open connection against no program at all, both pods under policy',
    );
    expect(tracesOf(command)).toEqual(NOTHING);
  });

  it('puts its labs away when it is interrupted', async () => {
    const command = await begun(['--engines', 'none,bpf,iptables-nft']);
    command.kill('SIGINT');
    expect(await command.ended).toBe('exited with 1');
    expect(tracesOf(command)).toEqual(NOTHING);
  });

  it('leaves labs that `selvedge lab down` removes when it is killed', async () => {
    const command = await begun(['--engines', 'none,bpf']);
    command.kill('SIGKILL');
    await command.ended;
    const { labs } = tracesOf(command);
    expect(labs.length).toBeGreaterThan(0);
    await run(SELVEDGE, ['lab', 'down', ...labs]);
    expect(tracesOf(command)).toEqual(NOTHING);
    for (const lab of labs) expect(existsSync(`/run/selvedge-lab/${lab}`)).toBe(false);
  });

  it('tells what a run that was killed has left', async () => {
    const command = await begun(['--engines', 'none']);
    command.kill('SIGKILL');
    await command.ended;
    const { labs } = tracesOf(command);
    const lines: string[] = [];
    const args = ['bench', '--quick', '--engines', 'none', '--policies', '0', '--rounds', '1'];
    const next = start(SELVEDGE, args, { onLine: (line) => lines.push(line) });
    running = next;
    expect(await next.ended).toBe('exited with 0');
    expect(lines.find((line) => line.includes('selvedge lab down'))).toContain(labs[0]);
    await run(SELVEDGE, ['lab', 'down', ...labs]);
    expect(tracesOf(next)).toEqual(NOTHING);
  });

  it('refuses a folder that cannot be written before it makes anything', async () => {
    const error = await refused(['bench', '--quick', '--report', '/proc/selvedge']);
    expect(error.stderr).toContain("the report's folder cannot be made: ENOENT");
    expect(error.stderr).not.toContain('latency');
    const other = await refused(['bench', '--quick', '--report', '/proc/sys']);
    expect(other.stderr).toContain("the report's folder cannot be written");
    expect(other.stderr).not.toContain('latency');
  });

  it('names what is to be installed where there is no iperf3', async () => {
    await using folder = await programsBut('iperf3');
    const error = await refused([`PATH=${folder.path}`, SELVEDGE, 'bench', '--quick'], 'env');
    expect(error.stderr).toContain('apt-get install iperf3');
    expect(error.stderr).not.toContain('latency');
  });

  it.skipIf(hiddenFromOthers !== undefined)('needs root, and says so', async () => {
    const error = await refused(['--reuid', '65534', '--clear-groups', SELVEDGE, 'bench', '--quick'], 'setpriv');
    expect(error.stderr).toContain('selvedge bench needs root');
  });
});

/** All programs of this machine, by links, but one. */
async function programsBut(left: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'selvedge-programs-'));
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => existsSync(folder));
  for (const folder of folders) {
    for (const name of await readdir(folder)) {
      if (name !== left) await symlink(join(folder, name), join(path, name)).catch(() => {});
    }
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe('what the command is told wrongly', () => {
  it.each([
    ['--engines', 'none,nobody', 'There is no engine nobody.'],
    ['--policies', '10,x', 'x is no number from 0 to 10000.'],
    ['--rounds', '0', '0 is no number from 1 to 1000.'],
  ])('%s %s is refused by name', async (option, value, words) => {
    const error = await refused(['bench', option, value]);
    expect(error.exitCode).toBe(2);
    expect(error.stderr).toContain(words);
  });

  it('an option behind the subcommand is the subcommand’s', async () => {
    const help = await run(SELVEDGE, ['bench', 'path', '--help']);
    expect(help).toContain('--only');
    expect(help).not.toContain('--engines');
  });
});
