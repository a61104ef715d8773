// The files of the image, staged as the Dockerfile does it: an agent runs from that tree alone, on both data planes.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningCommand, run, start } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url));
/** What the DaemonSet gives the agent, as `setpriv` writes it; and what it takes to change the root, which gives it nothing. */
const CAPABILITIES = ['net_admin', 'bpf', 'perfmon', 'net_broadcast', 'net_raw', 'sys_chroot'];
const MOST_MB = 200;

describeAsRoot('the staged tree', () => {
  const namespace = `slv-staged-${process.pid}`;
  let tree: string;
  let report: string;
  let agent: RunningCommand | undefined;

  beforeAll(async () => {
    tree = mkdtempSync(join(tmpdir(), 'selvedge-staged-'));
    report = execFileSync(process.execPath, ['deploy/stage.ts', tree], { encoding: 'utf8' });
    for (const folder of ['proc', 'sys', 'dev', 'manifests']) mkdirSync(join(tree, folder));
    mkdirSync(join(tree, 'run/selvedge'), { recursive: true });
    cpSync(SHOP, join(tree, 'manifests'), { recursive: true });
    // Read-only but for the folder of the socket, as the DaemonSet has it.
    await run('mount', ['--bind', '--make-private', tree, tree]);
    await run('mount', ['-o', 'remount,bind,ro', tree]);
    await run('mount', ['-t', 'tmpfs', 'selvedge', join(tree, 'run/selvedge')]);
    // As a runtime does: the host's /proc and /sys, and its bpffs within. As slaves: taking them away takes nothing from the host.
    for (const place of ['proc', 'sys', 'dev']) {
      await run('mount', ['--rbind', '--make-rslave', `/${place}`, join(tree, place)]);
    }
    await run('ip', ['netns', 'add', namespace]);
  }, 60_000);

  afterAll(async () => {
    agent?.kill('SIGKILL');
    await agent?.ended;
    await run('umount', ['--recursive', '--lazy', tree]);
    rmSync(`/sys/fs/bpf/${namespace}`, { recursive: true, force: true });
    rmSync(tree, { recursive: true, force: true });
    await run('ip', ['netns', 'delete', namespace]);
  });

  it(`is under ${MOST_MB} MB, and says how large each part is`, () => {
    const [, total] = /^in all +([\d.]+) MiB$/m.exec(report) ?? [];
    expect(Number(total) * 1.048576).toBeLessThan(MOST_MB);
    for (const part of ['Node', 'npm packages', 'native addon', 'BPF object', 'CNI plugin', 'system']) {
      expect(report).toMatch(new RegExp(`^${part} +[\\d.]+ MiB$`, 'm'));
    }
  });

  it('refuses to write into a folder that holds something', () => {
    expect(() => execFileSync(process.execPath, ['deploy/stage.ts', tree], { stdio: 'pipe' })).toThrow(/is not empty/);
  });

  it.each(['bpf', 'ipset'])(
    'runs an agent with the capabilities of the DaemonSet: %s',
    async (dataplane) => {
      const ready = Promise.withResolvers<void>();
      const lines: string[] = [];
      const bound = CAPABILITIES.map((name) => `+${name}`).join(',');
      const inside = ['/usr/local/bin/selvedge', 'agent', '--manifests', '/manifests', '--node-name', 'node1'];
      const options = [
        '--dataplane',
        dataplane,
        '--pin-dir',
        `/sys/fs/bpf/${namespace}`,
        '--socket',
        '/run/selvedge/agent.sock',
      ];
      const args = [
        '--pdeathsig',
        'KILL',
        '--no-new-privs',
        '--bounding-set',
        `-all,${bound}`,
        '--inh-caps',
        `-all,${bound}`,
      ];
      const command = [...args, 'chroot', tree, ...inside, ...options];
      agent = netns.run(namespace, () => {
        return start('setpriv', command, {
          onLine: (line) => {
            lines.push(line);
            if (line.includes('"event":"ready"')) ready.resolve();
          },
        });
      });
      const ended = agent.ended.then((how) => {
        throw new Error(`the agent ${how}:\n${lines.join('\n')}`);
      });
      await Promise.race([ready.promise, ended]);
      ended.catch(() => {});
      expect(lines.join('\n')).toContain(`"dataplane":"${dataplane}"`);
      const status = await run('chroot', [
        tree,
        '/usr/local/bin/selvedge',
        'status',
        '--socket',
        '/run/selvedge/agent.sock',
      ]);
      expect(status).toMatch(/^state +ready$/m);
      agent.kill('SIGTERM');
      await agent.ended;
      const cleanup = ['/usr/local/bin/selvedge', 'cleanup', '--pin-dir', `/sys/fs/bpf/${namespace}`, '--socket', ''];
      await netns.run(namespace, () => ({ ended: run('chroot', [tree, ...cleanup]) })).ended;
    },
    60_000,
  );
});
