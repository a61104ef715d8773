/** The directory of pins on the real kernel: one agent's at a time, and nobody else's. */
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../../../src/child-process.ts';
import { cleanupBpfDataplane, openBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import { tryLock } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { NodePerTest } from './support/on-kernel.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const SHOP = fileURLToPath(new URL('../../../examples/shop', import.meta.url));

describeAsRoot('the directory of an agent', () => {
  const fresh = new NodePerTest();

  test('a second agent on the same directory is refused, and one after the first is not', async () => {
    const first = await fresh.open();
    await expect(openBpfDataplane(fresh.node.options())).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    await expect(cleanupBpfDataplane(fresh.node.directory)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    first.close();
    await fresh.open();
  });

  test('nobody else can take the directory, or keep the agent from it', async () => {
    mkdirSync(fresh.node.directory, { mode: 0o777 });
    chmodSync(fresh.node.directory, 0o777);
    chownSync(fresh.node.directory, 1000, 1000);
    await expect(openBpfDataplane(fresh.node.options())).rejects.toMatchObject({ code: 'DIRECTORY_NOT_PRIVATE' });
    chownSync(fresh.node.directory, process.getuid?.() as number, 0);
    const server = createServer().listen({ path: `\0selvedge${fresh.node.directory}` });
    await once(server, 'listening');
    const first = await fresh.open();
    expect(statSync(fresh.node.directory).mode & 0o777).toBe(0o700);
    first.close();
    server.close();
  });

  test('a lock on a directory that was removed since keeps nobody from the next one', async () => {
    const first = await fresh.open();
    const fd = openSync(fresh.node.directory, 'r');
    first.close();
    await cleanupBpfDataplane(fresh.node.directory);
    expect(tryLock(fd)).toBe(true);
    await fresh.open();
    closeSync(fd);
  });

  // `ip netns exec` gives what it starts a /sys of its own, in which no bpffs is mounted.
  test('no bpffs is mounted where it would go with the process, and enforcement with it', async () => {
    const namespace = `slv-mounts-${process.pid}`;
    await run('ip', ['netns', 'add', namespace]);
    try {
      const agent = [process.execPath, MAIN, 'agent', '--manifests', SHOP, '--socket', ''];
      const refused = run('ip', ['netns', 'exec', namespace, ...agent, '--pin-dir', '/sys/fs/bpf/selvedge-mounts']);
      await expect(refused).rejects.toThrow(/nsenter --net=/);
    } finally {
      await run('ip', ['netns', 'delete', namespace]);
    }
  });
});
