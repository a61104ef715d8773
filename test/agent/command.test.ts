// `selvedge agent` as a user starts it, in a network namespace of its own.
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../src/child-process.ts';
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
});
