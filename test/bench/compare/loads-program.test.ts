/** The generators' own command line: bounded by count, refused where it makes no sense, served by a process elsewhere. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { netns } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { TwoEnds } from './support/two-ends.ts';

const PROGRAM = fileURLToPath(new URL('../../../build/selvedge-load', import.meta.url));

const NOBODY = ['--reuid', '65532', '--regid', '65532', '--clear-groups'];
const folder = mkdtempSync(join(tmpdir(), 'slv-load-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The checkout may be closed to others. */
function anybodysCopy(): string {
  const copy = join(folder, 'selvedge-load');
  chmodSync(folder, 0o755);
  copyFileSync(PROGRAM, copy);
  return copy;
}

function runLoad(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('selvedge-load', () => {
  it.each([
    [[], 'which load?'],
    [['latency'], '--server is missing'],
    [['nonsense', '--server', '::1'], 'there is no load nonsense'],
    [['latency', 'twice', '--server', '::1'], 'what is twice?'],
    [['latency', '--server', 'localhost'], 'localhost is no IP address'],
    [['latency', '--server', '127.0.0.1', '--client', '::1'], 'must be of one family'],
    [['latency', '--server', '::1', '--seconds', '0'], '--seconds must be a number from 0.001 to 3600, not 0'],
    [['latency', '--server', '::1', '--seconds', 'nan'], 'not nan'],
    [['latency', '--server', '::1', '--seconds', '1s'], 'not 1s'],
    [['latency', '--server', '::1', '--count', '1.5'], '--count must be a whole number'],
    [['latency', '--server', '::1', '--count', '-1'], 'not -1'],
    [['latency', '--server', '::1', '--port', '65535'], '--port must be a number from 1 to 65534'],
    [['latency', '--server', '::1', '--cpu', '1,'], '--cpu must be a number'],
    [['latency', '--server', '::1', '--cpu', '9999'], '--cpu must be a number'],
    [['latency', '--server', '::1', '--priority', 'low'], '--priority must be'],
    [['latency', '--server', '::1', '--client-namespace', '../net'], '../net is no name of a network namespace'],
    [['latency', '--nonsense'], "unrecognized option '--nonsense'"],
    [['until', '--server', '::1'], 'until open, or until closed?'],
    [['flood', '--server', '::1'], 'flood needs --server-namespace'],
  ] as const)('refuses %j', (args, message) => {
    const { status, stdout, stderr } = runLoad(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('tells its options', () => {
    const { status, stdout } = runLoad('--help');
    expect(status).toBe(0);
    expect(stdout).toMatch('selvedge-load serve');
  });
});

describeAsRoot('selvedge-load between two namespaces', () => {
  it('ends by count and sends no more than it was told', async () => {
    using ends = await TwoEnds.start();
    const { client, server } = ends.ends();
    const places = ['--client', client.address, '--client-namespace', client.namespace, '--server', server.address];
    const load = (...args: readonly string[]) => {
      const all = [...args, ...places, '--server-namespace', server.namespace, '--seconds', '20'];
      return JSON.parse(runLoad(...all).stdout);
    };
    expect(load('latency', '--count', '7')).toMatchObject({ count: 7 });
    expect(load('connect', '--count', '70')).toMatchObject({ count: 70 });
    expect(load('udp', '--count', '1000')).toMatchObject({ sent: 1_000, arrived: 1_000 });
    expect(load('flood', '--count', '1000')).toMatchObject({ sent: 1_000, arrived: 1_000 });
  });

  it('is served by a process elsewhere, which outlives clients and ends by itself or with a signal', async () => {
    using ends = await TwoEnds.start();
    const { client, server } = ends.ends('IPv6');
    const serve = netns.run(server.namespace, () =>
      spawn(PROGRAM, ['serve', '--server', server.address, '--seconds', '60'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    );
    try {
      const [line] = await once(createInterface({ input: serve.stdout }), 'line');
      expect(JSON.parse(line)).toEqual({ port: 5_200 });
      // No more ports than ten are left to the client, as after a minute of connections.
      netns.run(client.namespace, () => writeFileSync('/proc/sys/net/ipv4/ip_local_port_range', '50000 50009'));
      const load = (name: string) => {
        const { stdout } = netns.run(client.namespace, () =>
          runLoad(name, '--server', server.address, '--count', '40'),
        );
        return JSON.parse(stdout);
      };
      // Nobody but root may read how long processors were idle to the nanosecond.
      expect(load('connect')).toMatchObject({ count: 40, busySource: 'timer_list' });
      const asNobody = [...NOBODY, anybodysCopy(), 'connect', '--server', server.address, '--count', '40'];
      const { stdout } = netns.run(client.namespace, () => spawnSync('setpriv', asNobody, { encoding: 'utf8' }));
      expect(JSON.parse(stdout)).toMatchObject({ count: 40, busySource: 'stat' });
      for (const name of ['latency', 'connect', 'latency']) expect(load(name)).toMatchObject({ count: 40 });
      // The sink counts on from one client to the next.
      for (const name of ['udp', 'udp']) expect(load(name)).toMatchObject({ sent: 40, arrived: 40 });
    } finally {
      serve.kill('SIGKILL');
    }
    await once(serve, 'exit');
  });
});
