/** One agent for the rules and sets of a network namespace, for as long as it lives. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cleanupIpsetDataplane, openIpsetDataplane } from '../../../src/dataplane/ipset/open.ts';
import { TestNamespace } from '../../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../../support/privilege.ts';

const LOCK = new URL('../../../src/dataplane/lock.ts', import.meta.url).href;
/** Stands for an agent that holds the lock until it is killed. */
const HOLDER = `import { lockNetwork } from '${LOCK}'; lockNetwork(); console.log('held'); setInterval(() => {}, 1e6);`;

describeAsRoot('the ipset data plane of a node', () => {
  let namespace: TestNamespace;

  beforeEach(() => {
    namespace = new TestNamespace('lock', []);
  });

  afterEach(() => namespace.close());

  const openIn = (where: TestNamespace) => {
    return openIpsetDataplane({ auditEvery: 0, within: (start) => where.run(start) });
  };

  const hold = async (): Promise<ChildProcess> => {
    const command = ['netns', 'exec', namespace.name, process.execPath, '--input-type=module', '-e', HOLDER];
    const holder = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    return holder;
  };

  test('is one agent’s at a time, and another node’s is not in its way', async () => {
    const elsewhere = new TestNamespace('lock-other', []);
    try {
      const first = await openIn(namespace);
      const other = await openIn(elsewhere);
      await expect(openIn(namespace)).rejects.toMatchObject({ code: 'NETWORK_IN_USE' });
      await expect(cleanupIpsetDataplane({ within: (start) => namespace.run(start) })).rejects.toMatchObject({
        code: 'NETWORK_IN_USE',
      });
      first.dataplane.close();
      const second = await openIn(namespace);
      for (const { dataplane } of [second, other]) dataplane.close();
    } finally {
      elsewhere.close();
    }
  });

  test('is free when its agent was killed; until then that one is named', async () => {
    const holder = await hold();
    await expect(openIn(namespace)).rejects.toThrow(`another agent (process ${holder.pid}) has the ipset data plane`);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    (await openIn(namespace)).dataplane.close();
  });

  test('is free after an attempt that failed', async () => {
    const broken = { within: <T>(start: () => T) => namespace.run(start), paths: { ipset: 'no-such-program' } };
    await expect(openIpsetDataplane(broken)).rejects.toMatchObject({ code: 'IPSET_MISSING' });
    (await openIn(namespace)).dataplane.close();
  });
});
