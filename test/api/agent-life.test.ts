// One policy from its coming until its pods go, as the agent tells it on its socket, also after a kill -9.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askAgent } from '../../src/api/client.ts';
import { PATHS, type PolicyStatus, type Status } from '../../src/api/contract.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import type { NodeAgent } from '../agent/support/node-agent.ts';
import { selvedge } from '../observe/command.ts';
import { describeAsRoot } from '../support/privilege.ts';

describeAsRoot('what an agent tells of a policy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-life-'));
  const socket = join(folder, 'agent.sock');
  const options = { args: ['--socket', socket, '--health-address', ''] };
  let fed: FedNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    fed = await FedNode.start();
    fed.start('web', '10.66.0.10');
    agent = fed.agent(options);
    await agent.enforced('web');
  });

  afterAll(async () => {
    await fed?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const status = () => askAgent<PolicyStatus>(socket, `${PATHS.policies}shop/web`);
  const stateOf = async (pod: string) => (await status()).pods.find((one) => one.pod === `shop/${pod}`);

  it('is one line of its log with the pods and the milliseconds, and the time from which it is in force', async () => {
    fed.admit('web', 'api');
    expect(await agent.until(({ event, policy }) => event === 'policy' && policy === 'shop/web')).toMatchObject({
      pods: 1,
      milliseconds: expect.any(Number),
    });
    expect(await stateOf('web')).toEqual({ pod: 'shop/web', state: 'enforced', since: expect.any(String) });
  });

  it('keeps that time while others change, and has another in another form', async () => {
    const before = await stateOf('web');
    fed.start('api', '10.66.0.11');
    await agent.enforced('api');
    expect(await stateOf('web')).toEqual(before);
    const from = agent.said.length;
    fed.admit('web', 'api', 'db');
    await agent.until(({ event, policy }) => event === 'policy' && policy === 'shop/web', from);
    const after = await stateOf('web');
    expect(Date.parse(after?.since ?? '')).toBeGreaterThan(Date.parse(before?.since ?? ''));
  });

  it('waits for a pod that has no address yet, and the command fails meanwhile', async () => {
    fed.record('web-2', undefined, { app: 'web' });
    await expect.poll(() => stateOf('web-2')).toEqual({ pod: 'shop/web-2', state: 'pending' });
    const { code, stdout } = await selvedge(['status', '--policy', 'shop/web', '--socket', socket]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^shop\/web-2 +pending$/m);
    fed.server.delete('Pod', 'shop/web-2');
    await expect.poll(() => stateOf('web-2')).toBeUndefined();
  });

  it('is told by the next agent after a kill -9, on the same socket', async () => {
    const { startedAt } = await askAgent<Status>(socket, PATHS.status);
    await agent.end('SIGKILL');
    await expect(askAgent(socket, PATHS.status)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const { code, stderr } = await selvedge(['status', '--socket', socket]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `selvedge: no agent listens on ${socket} any more: is it running?\n`,
    });
    agent = fed.agent(options);
    await agent.ready();
    await expect.poll(() => askAgent<Status>(socket, PATHS.status).catch(() => undefined)).toBeDefined();
    expect((await askAgent<Status>(socket, PATHS.status)).startedAt).not.toBe(startedAt);
    expect(await stateOf('web')).toMatchObject({ state: 'enforced' });
    await agent.end('SIGTERM');
    await expect(askAgent(socket, PATHS.status)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
