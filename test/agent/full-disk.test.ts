/** An agent whose folder for its socket and for what the CNI plugin tells is full: it enforces, says what is lost, and goes on when there is room. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runSync, start } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import { callOn } from '../cni/support/fed-plugin.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import { MAIN, type NodeAgent, type Said } from './support/node-agent.ts';

describeAsRoot('an agent without room for its files', () => {
  let folder: string;
  let fed: FedNode;
  let agent: NodeAgent;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-full-`));
    runSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=8', 'tmpfs', folder]);
    fed = await FedNode.start();
    fed.admit('api', 'web');
    for (const [place, name] of ['web', 'api', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
  });

  afterEach(async () => {
    await fed?.[Symbol.asyncDispose]();
    runSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  const enforcing = async () => {
    agent = fed.agent({ args: ['--socket', join(folder, 'agent.sock'), '--health-address', ''] });
    await agent.enforced('web', 'api', 'db');
    for (const name of ['web', 'api', 'db']) await fed.node.whenUp(name);
    expect(['web', 'db'].map((name) => fed.node.reaches(name, 'api'))).toEqual([true, false]);
  };

  const about = (event: string) => (said: Said) => said.event === event;

  it('starts pods by the plugin all the same, and says that the next agent will not know of them', async () => {
    await enforcing();
    // To the last byte.
    expect(() => writeFileSync(join(folder, 'fill'), Buffer.alloc(128 * 1024))).toThrow('ENOSPC');
    fed.record('late', undefined, { app: 'db' });
    fed.node.addPod('late', '10.66.0.20');
    const socket = join(folder, 'agent.sock');
    const { code } = await callOn(fed, { socket, command: 'ADD', pod: 'late', settings: { address: '10.66.0.20' } });
    expect(code).toBe(0);
    expect([fed.node.reaches('late', 'api'), fed.node.reaches('late', 'db')]).toEqual([false, true]);
    expect(await agent.until(about('cni-claims'))).toMatchObject({
      level: 'warn',
      msg: 'what the CNI plugin tells will not be known after a restart',
      err: { code: 'ENOSPC' },
    });
    // Nothing half is left for the next one.
    expect(readdirSync(folder).sort()).toEqual(['agent.sock', 'fill']);
  });

  it('has no socket, says so, and has one once there is room', async () => {
    for (let file = 0; ; file++) {
      try {
        mkdirSync(join(folder, `fill${file}`));
      } catch {
        break;
      }
    }
    await enforcing();
    expect(await agent.until(about('api-failed'))).toMatchObject({ level: 'error', err: { code: 'ENOSPC' } });
    for (const file of readdirSync(folder)) rmSync(join(folder, file), { recursive: true });
    await expect.poll(() => readdirSync(folder)).toContain('agent.sock');
  });

  it('follows the cluster while its log cannot be written, and tells what waited', async () => {
    const log = join(folder, 'log');
    writeFileSync(log, '');
    expect(() => writeFileSync(join(folder, 'fill'), Buffer.alloc(128 * 1024))).toThrow('ENOSPC');
    const agentOf = ['agent', ...fed.where, '--socket', '', '--health-address', ''];
    const command = [
      '--pdeathsig',
      'KILL',
      'sh',
      '-c',
      `exec "$@" 2>> ${log}`,
      'sh',
      process.execPath,
      MAIN,
      ...agentOf,
    ];
    const running = netns.run(fed.node.namespace, () => start('setpriv', command, { onLine: () => {} }));
    const reached = () => ['web', 'db'].map((name) => fed.node.reaches(name, 'api'));
    try {
      // Until then nothing is enforced, and pods reach each other.
      await expect.poll(reached, { interval: 50 }).toEqual([true, false]);
      rmSync(join(folder, 'fill'));
      fed.admit('api', 'db');
      await expect.poll(reached, { interval: 50 }).toEqual([false, true]);
      await expect.poll(() => readFileSync(log, 'utf8')).toContain('"event":"ready"');
    } finally {
      running.kill('SIGKILL');
      await running.ended;
    }
  });
});
