// The agent against Kubernetes' own API server: what the test API server was written after, as it is.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { missingControlPlane } from '../support/control-plane/control-plane.ts';
import { describeUnless, missingPrivilege } from '../support/privilege.ts';
import { admission } from './support/fed-node.ts';
import type { NodeAgent, Said } from './support/node-agent.ts';
import { podRecord, RealNode } from './support/real-node.ts';

const reason = missingPrivilege() ?? missingControlPlane;

const BINDING = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'selvedge' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'selvedge' },
};
const ACCOUNT = { kind: 'ServiceAccount', name: 'selvedge', namespace: 'kube-system' };

/** What it complains of; that a veth is there before its pod is known is no fault. */
const faults = ({ said }: NodeAgent) =>
  said.filter(({ level, event }) => (level === 'warn' || level === 'error') && event !== 'interface');
const warns = (words: string) => (said: Said) => said.level === 'warn' && said.msg?.includes(words) === true;

async function shop(real: RealNode): Promise<void> {
  await real.admit('api', 'web');
  for (const [place, name] of ['web', 'api', 'db'].entries()) await real.start(name, `10.66.0.${place + 10}`);
}

async function ready(real: RealNode, agent: NodeAgent): Promise<void> {
  await agent.ready();
  for (const name of ['web', 'api', 'db']) await real.node.whenUp(name);
}

// One server for all, and each test leaves it with web alone admitted to api.
describeUnless(reason, 'a real API server feeds an agent', () => {
  let real: RealNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    real = await RealNode.start();
    await shop(real);
    agent = await real.agent(await real.account());
    await ready(real, agent);
  });

  afterAll(async () => {
    await real?.[Symbol.asyncDispose]();
  });

  it('with the rights and the manifests of deploy/, and nothing to complain of', async () => {
    expect(real.reached('web api', 'db api', 'api db')).toEqual([true, false, true]);
    expect(faults(agent)).toEqual([]);
  });

  it('in all that changes: labels, policies, pods that come and go', async () => {
    await real.record('db', '10.66.0.12', { app: 'web' });
    await real.until('db api', true);
    await real.record('db', '10.66.0.12');
    await real.until('db api', false);
    await real.admit('api', 'db');
    await real.until('web api', false);
    expect(real.reached('db api')).toEqual([true]);
    await real.plane.delete(admission('api', []));
    await real.until('web api', true);
    await real.admit('api', 'web');
    await real.until('db api', false);
    await real.start('late', '10.66.0.20');
    await agent.enforced('late');
    expect(real.reached('late api')).toEqual([false]);
    await real.stop('late');
    expect(faults(agent)).toEqual([]);
  });

  it('that goes away and returns with what it had: nothing is listed anew', async () => {
    await real.plane.stopServer();
    await agent.until(warns('cannot be reached'));
    expect(real.reached('web api', 'db api')).toEqual([true, false]);
    await real.plane.startServer();
    await agent.until(({ event }) => event === 'recovered');
    await real.admit('api', 'db');
    await real.until('db api', true);
    await real.admit('api', 'web');
    await real.until('db api', false);
  });

  it('that has forgotten the last version it gave', async () => {
    const said = agent.said.length;
    agent.kill('SIGSTOP');
    await real.plane.stopServer();
    await real.plane.startServer();
    await real.admit('api', 'db');
    await real.stop('web');
    await real.plane.compact();
    await real.plane.stopServer();
    await real.plane.startServer();
    agent.kill('SIGCONT');
    await real.until('db api', true);
    await real.start('web', '10.66.0.10');
    await agent.until(({ msg }) => msg === 'enforced for shop/web', said);
    await real.admit('api', 'web');
    await real.until('db api', false);
  });

  it('that refuses until it is allowed, in its own words', async () => {
    const account = await real.account();
    await real.plane.delete(BINDING as never);
    agent = await real.agent(account);
    const { msg } = await agent.until(warns('ServiceAccount'));
    expect(msg).toMatch(
      /system:serviceaccount:kube-system:selvedge.* cannot (list|watch) resource .* bind the agent's ServiceAccount/,
    );
    expect(real.reached('web api', 'db api')).toEqual([true, false]);
    await real.plane.apply({ ...BINDING, subjects: [ACCOUNT] });
    await ready(real, agent);
  });

  it('that takes no token, then another', async () => {
    const account = await real.account();
    account.write({ token: 'nobody' });
    agent = await real.agent(account);
    await agent.until(warns('credentials are not accepted'));
    account.write({ token: await real.plane.token('kube-system', 'selvedge') });
    await ready(real, agent);
  });

  it('by a client certificate', async () => {
    const user = { kind: 'User', name: 'agent-of-node1', apiGroup: 'rbac.authorization.k8s.io' };
    await real.plane.apply({ ...BINDING, metadata: { name: 'selvedge-user' }, subjects: [user] });
    agent = await real.agent(real.plane.kubeconfig({ client: real.plane.certificate('agent-of-node1') }));
    await ready(real, agent);
    expect(faults(agent)).toEqual([]);
  });
});

describeUnless(reason, 'a real API server without streamed lists and without its cache', () => {
  let real: RealNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    real = await RealNode.start(['--feature-gates=WatchList=false', '--watch-cache=false']);
    await shop(real);
    const others = Array.from({ length: 250 }, (_, i) =>
      podRecord(`far-${i}`, `10.67.1.${i}`, { app: 'far' }, 'node2'),
    );
    await Promise.all(others.map((one) => real.plane.apply(one)));
    agent = await real.agent(await real.account());
    await ready(real, agent);
  });

  afterAll(async () => {
    await real?.[Symbol.asyncDispose]();
  });

  it('is listed in pages', async () => {
    expect(real.reached('web api', 'db api')).toEqual([true, false]);
    expect(faults(agent)).toEqual([]);
  });

  it('and has forgotten the version of a watch', async () => {
    agent.kill('SIGSTOP');
    await real.plane.stopServer();
    await real.plane.startServer(['--feature-gates=WatchList=false', '--watch-cache=false']);
    await real.admit('api', 'db');
    await real.plane.compact();
    agent.kill('SIGCONT');
    await real.until('db api', true);
    expect(real.reached('web api')).toEqual([false]);
  });
});
