// `selvedge agent` as a user starts it, in a network namespace of its own.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { run } from '../../src/child-process.ts';
import { Kubeconfig } from '../support/api-server/kubeconfig.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { NodeAgent, PinDir } from './support/node-agent.ts';

const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url));

describeAsRoot('selvedge agent', () => {
  const namespace = `slv-agent-${process.pid}`;
  let pins: PinDir;
  let agent: NodeAgent | undefined;

  beforeEach(async () => {
    pins = new PinDir();
    await run('ip', ['netns', 'add', namespace]);
  });

  afterEach(async () => {
    await agent?.end('SIGKILL');
    agent = undefined;
    await run('ip', ['netns', 'delete', namespace]);
    pins[Symbol.dispose]();
  });

  const start = (node: string, ...args: readonly string[]) => {
    const all = ['--manifests', SHOP, ...args];
    agent = new NodeAgent({ namespace, node, pinDir: pins.path, args: all });
    return agent;
  };

  it('has no health pages where it is told to have them nowhere', async () => {
    const started = start('left', '--health-address=');
    await started.ready();
    expect(started.said.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await started.end('SIGTERM')).toBe('exited with 0');
  });

  it('ends when it is told to, though an exec plugin does not answer', async () => {
    using kubeconfig = new Kubeconfig({ server: 'https://127.0.0.1:1' });
    const [begun, held] = ['begun', 'held'].map((name) => join(kubeconfig.folder, name)) as [string, string];
    await run('mkfifo', [held]);
    kubeconfig.write({ exec: { command: 'sh', args: ['-c', `echo > ${begun}; cat ${held}`] } });
    const where = ['--kubeconfig', kubeconfig.path, '--health-address=', '--socket='];
    agent = new NodeAgent({ namespace, node: 'node1', pinDir: pins.path, args: where });
    await expect.poll(() => existsSync(begun)).toBe(true);
    expect(await agent.end('SIGTERM')).toBe('exited with 0');
    // The plugin is there still, and goes too.
    writeFileSync(held, '');
  });

  it('says which interfaces are ways out and why, and that nothing names this node', async () => {
    const peer = `${namespace}-peer`;
    await run('ip', ['netns', 'add', peer]);
    onTestFinished(async () => void (await run('ip', ['netns', 'delete', peer])));
    await run('ip', ['-n', namespace, 'link', 'add', 'own', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', peer]);
    await run('ip', ['-n', namespace, 'address', 'add', '10.9.0.1/24', 'dev', 'own']);
    const started = start('mistyped', '--health-address=');
    await started.ready();
    const own = started.said.filter(({ name }) => name === 'own');
    expect(own).toMatchObject([
      { event: 'interface', msg: "a way out of the node: no pod's, for it holds 10.9.0.1/24" },
    ]);
    const warnings = started.said.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([{ object: 'Node mistyped', msg: expect.stringMatching(/no pod is on it/) }]);
  });
});
