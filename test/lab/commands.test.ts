// `selvedge lab` and `selvedge demo` as users run them, with real agents enforcing in the kernel.
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CommandError, type RunningCommand, run, start } from '../../src/child-process.ts';
import { knownLabs } from '../../src/lab/lab-record.ts';
import { labOf } from '../../src/lab/network/names.ts';
import { listNamespaces } from '../../src/lab/network/network.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot, hiddenFromOthers } from '../support/privilege.ts';

const SELVEDGE = fileURLToPath(new URL('../../bin/selvedge', import.meta.url));
const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url));

let folder: string;
let running: RunningCommand | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-lab-'));
});

afterEach(async () => {
  running?.kill('SIGKILL');
  await running?.ended;
  running = undefined;
  rmSync(folder, { recursive: true });
});

/** A lab of the folder that runs until it is told to end, and what it says. */
function follow(...args: readonly string[]) {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const command = start(SELVEDGE, ['lab', '--manifests', folder, ...args], {
    onLine: (line) => {
      lines.push(line);
      for (const check of waiting) check();
    },
  });
  running = command;
  return {
    command,
    /** Resolves with what was said after the call, up to a line that matches. */
    said: (pattern: RegExp) => {
      const from = lines.length;
      return new Promise<string>((resolve, reject) => {
        const check = () => {
          const end = lines.findIndex((line, index) => index >= from && pattern.test(line));
          if (end < 0) return;
          waiting.delete(check);
          resolve(lines.slice(from, end + 1).join('\n'));
        };
        waiting.add(check);
        void command.ended.then((how) => reject(new Error(`the lab ${how}: ${lines.join('\n')}`)));
      });
    },
  };
}

function tracesOf({ pid }: RunningCommand) {
  const own = (lab: string | undefined) => lab !== undefined && Number.parseInt(lab, 10) === pid;
  return { labs: knownLabs().filter(own), namespaces: listNamespaces().filter((name) => own(labOf(name))) };
}

const NOTHING = { labs: [], namespaces: [] };

function copy(...files: readonly string[]): void {
  for (const file of files) copyFileSync(join(SHOP, file), join(folder, file.replace('policies/', '')));
}

describeAsRoot('selvedge lab --queries', () => {
  it('answers each line by a real connection, judged by the policies', async () => {
    const queries = [
      { from: 'web/web-1', to: 'api/api', port: 8080, protocol: 'TCP', family: 'IPv4' },
      { from: 'web/web-1', to: 'api/api', port: 9090, protocol: 'TCP', family: 'IPv6', note: 'mine' },
      { from: 'intruder/intruder', to: 'database/database', port: 5432, protocol: 'TCP' },
      { from: 'api/api', to: 'database/database', port: 5432, protocol: 'TCP' },
      { from: '2001:db8::1', to: 'web/web-2', port: 80, protocol: 'TCP' },
      { from: 'web/web-2', to: 'kube-system/dns', port: 53, protocol: 'UDP' },
      { from: 'web/web-2', to: '1.1.1.1', port: 53, protocol: 'UDP' },
    ];
    const file = join(folder, 'queries.jsonl');
    writeFileSync(file, `${queries.map((query) => JSON.stringify(query)).join('\n\n')}\n`);
    const output = await run(SELVEDGE, ['lab', '--manifests', SHOP, '--queries', file, '-o', 'jsonl']);
    const verdicts = ['allow', 'deny', 'deny', 'allow', 'allow', 'allow', 'deny'];
    const answers = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers).toEqual(queries.map((query, index) => ({ ...query, verdict: verdicts[index] })));
  });

  it('enforces nothing without a data plane, over either backend', async () => {
    const input = '{"from":"intruder/intruder","to":"database/database","port":5432}';
    const args = ['lab', '--manifests', SHOP, '--dataplane', 'none', '--backend', 'host-gw', '--queries', '-'];
    expect(await run(SELVEDGE, args, { input })).toBe('intruder/intruder → database/database 5432/tcp: allow\n');
  });

  it('names a line that is no query, and starts nothing', async () => {
    const input = '{"from":"web/web-1","to":"api/api","port":80}\n{"from":"web/web-1","to":"api/api","port":0}\n';
    const failure = await run(SELVEDGE, ['lab', '--manifests', SHOP, '--queries', '-'], { input }).catch(
      (error) => error,
    );
    expect(failure).toBeInstanceOf(CommandError);
    expect(failure).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/line 2: port: .*"port":0/) });
  });

  it('has no probe for ICMP, says who answers, and starts nothing', async () => {
    const input = '{"from":"web/web-1","to":"api/api","protocol":"ICMP"}';
    const failure = await run(SELVEDGE, ['lab', '--manifests', SHOP, '--queries', '-'], { input }).catch(
      (error) => error,
    );
    const stderr = 'selvedge: web/web-1 → api/api: a lab tries TCP, UDP and SCTP; about ICMP ask selvedge explain\n';
    expect(failure).toMatchObject({ exitCode: 2, stderr });
  });

  it.each([
    [['--queries', '/nope'], 'selvedge: --queries /nope: there is no such file\n'],
    [['-o', 'jsonl'], 'selvedge: -o jsonl is for the answers to --queries\n'],
    [['--manifests', '/nope'], 'selvedge: --manifests /nope: there is no such file or folder\n'],
  ])('is asked wrongly with %j, and starts nothing', async (args, message) => {
    const failure = await run(SELVEDGE, ['lab', '--manifests', SHOP, ...args]).catch((error) => error);
    expect(failure).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) });
  });

  it('answers the others when one asks for somebody who is not there', async () => {
    const input = '{"from":"web/nobody","to":"api/api","port":80}\n{"from":"web/web-1","to":"api/api","port":80}\n';
    const args = ['lab', '--manifests', SHOP, '--no-agent', '--queries', '-', '-o', 'jsonl'];
    const failure = await run('sh', ['-c', `${[SELVEDGE, ...args].join(' ')} || echo exit $?`], { input });
    expect(failure.trim().split('\n')).toEqual([
      '{"from":"web/nobody","to":"api/api","port":80,"protocol":"TCP","error":"there is no pod web/nobody"}',
      '{"from":"web/web-1","to":"api/api","port":80,"protocol":"TCP","verdict":"allow"}',
      'exit 1',
    ]);
  });
});

describeAsRoot('selvedge lab', () => {
  it('prints the matrix again, changes marked, whenever a manifest changes, until Ctrl-C', async () => {
    copy('cluster.yaml', 'policies/1-default-deny.yaml');
    const { command, said } = follow();
    expect(await said(/reached/)).toMatch(/outside +✗ ✗ ✗ ✓ ✓ ✗ ✗/);
    expect(tracesOf(command).namespaces).toHaveLength(4 + 6);
    const changed = said(/\* .* now reached/);
    copy('policies/5-customers-to-web.yaml');
    expect(await changed).toMatch(/outside +✗ ✗ ✗ ✓ ✓ ✓\*✓\*/);
    command.kill('SIGINT');
    expect(await command.ended).toBe('exited with 0');
    expect(tracesOf(command)).toEqual(NOTHING);
  });

  it('waits with a manifest that cannot be read, keeping what it had', async () => {
    writeFileSync(join(folder, 'cluster.yaml'), 'kind: [');
    const { command, said } = follow('--no-agent');
    await said(/waits until it can/);
    const first = said(/reached/);
    copy('cluster.yaml');
    await first;
    const complaint = said(/half\.yaml/);
    writeFileSync(join(folder, 'half.yaml'), 'kind: [');
    await complaint;
    command.kill('SIGTERM');
    expect(await command.ended).toBe('exited with 0');
    expect(tracesOf(command)).toEqual(NOTHING);
  });

  it('is swept by "lab down" after it was killed, agents and all', async () => {
    copy('cluster.yaml', 'policies/1-default-deny.yaml');
    const { command, said } = follow();
    await said(/reached/);
    command.kill('SIGKILL');
    await command.ended;
    expect(tracesOf(command)).not.toEqual(NOTHING);
    await eventually(() => expect(agentsOf(command)).toEqual([]));
    // By its number: without one the labs that other tests have killed would go too.
    expect(await run(SELVEDGE, ['lab', 'down', `${command.pid}`])).toContain(`removed ${command.pid}\n`);
    expect(tracesOf(command)).toEqual(NOTHING);
    expect(existsSync(`/run/selvedge-lab/${command.pid}`)).toBe(false);
  });

  it('ends quietly, everything put away, when its reader has gone', async () => {
    copy('cluster.yaml');
    const command = `${SELVEDGE} lab --no-agent --manifests ${folder}`;
    // The pipeline ends when its last part does, which lives for as long as the lab.
    const said = await run('bash', [
      '-c',
      `{ ${command} 2>&3; echo "ended with $?" >&3; } 3>${folder}/said | head -n 1`,
    ]);
    expect(said).toBe('\n');
    expect(readFileSync(join(folder, 'said'), 'utf8')).toMatch(/^lab \d+ is up; Ctrl-C ends it\nended with 0\n$/);
  });

  it('is not asked to end labs that are not there', async () => {
    await expect(run(SELVEDGE, ['lab', 'down', 'nothing'])).rejects.toThrow('there is no lab nothing');
  });
});

describeAsRoot('selvedge demo', () => {
  it('shows the shop, every connection as the policies say, and leaves the machine as it was', async () => {
    const lines: string[] = [];
    const demo = start(SELVEDGE, ['demo'], {
      onLine: (line) => lines.push(line),
      env: { FORCE_COLOR: '1', TMPDIR: folder },
    });
    running = demo;
    const how = await demo.ended;
    expect(lines.join('\n')).toContain('Every connection did what the policies say');
    expect(how).toBe('exited with 0');
    expect(lines.join('\n')).toContain('admitted by api/api-from-web ingress rule 1: 4');
    expect(lines.join('\n')).toContain('\u001b[32m✓');
    expect(tracesOf(demo)).toEqual(NOTHING);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describeAsRoot('selvedge without privilege', () => {
  it.for(['cleanup', 'lab down'])('%s says that it needs root, and nothing else', async (command, context) => {
    if (hiddenFromOthers) context.skip(hiddenFromOthers);
    const as = ['--reuid', '65534', '--regid', '65534', '--clear-groups', SELVEDGE, ...command.split(' ')];
    const failure = await run('setpriv', as).catch((error) => error);
    expect(failure).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^selvedge: .* needs root.*\n$/) });
  });
});

describeAsRoot('selvedge demo to a reader that goes', () => {
  it('ends quietly, and leaves nothing', async () => {
    const command = `TMPDIR=${folder} ${SELVEDGE} demo 2>&1`;
    expect(await run('bash', ['-c', `${command} | head -n 2`])).toMatch(/^\n1\. No policy/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

/** Agents whose pins are in the folder of a lab. */
function agentsOf({ pid }: RunningCommand): readonly string[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.filter((one) => {
    try {
      return readFileSync(`/proc/${one}/cmdline`, 'utf8').includes(`/run/selvedge-lab/${pid}/`);
    } catch {
      return false;
    }
  });
}
