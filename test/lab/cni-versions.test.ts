/** Flannel's list in each version that the distribution's plugins have, with selvedge-cni behind them: ADD, CHECK, DEL. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { BUILT_PLUGIN } from '../../src/cni/install.ts';
import { CniRuntime } from '../../src/lab/network/cni-runtime.ts';
import { FLANNEL_LIST } from '../../src/lab/network/cni-wiring.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { netlink, netns, socket } from '../../src/native.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import type { NodeAgent } from '../agent/support/node-agent.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SUBNET_ENV = 'FLANNEL_NETWORK=10.66.0.0/16\nFLANNEL_SUBNET=10.66.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

describeAsRoot('a node whose list is of version', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  const api = join(folder, 'agent.sock');
  const subnetEnv = join(folder, 'subnet.env');
  const dataDir = join(folder, 'ipam');
  let fed: FedNode;
  let agent: NodeAgent;

  const start = () => fed.agent({ args: ['--socket', api, '--health-address', '', '--pending', 'open'] });

  beforeAll(async () => {
    writeFileSync(subnetEnv, SUBNET_ENV);
    mkdirSync(dataDir);
    fed = await FedNode.start();
    agent = start();
    const egress = [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }] }];
    const podSelector = { matchLabels: { app: 'late' } };
    fed.server.put(policy('shop', 'late', { podSelector, policyTypes: ['Egress'], egress }));
    for (const [place, name] of ['web', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
    await agent.enforced('web', 'db');
    for (const name of ['web', 'db']) await fed.node.whenUp(name);
  });

  afterAll(async () => {
    await fed?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Whether what the pod sends first arrives. */
  function sends(namespace: string, to: string): boolean {
    const { address, listener } = fed.node.pod(to);
    const fd = netns.run(namespace, () => socket.open({ family: 4, type: 'udp' }));
    socket.send(fd, Buffer.from('first'), { address, port: 7000 });
    const came = socket.receive(listener, to === 'web' ? 5_000 : 300);
    socket.close(fd);
    return came !== undefined;
  }

  it.each(['0.3.1', '0.4.0', '1.0.0'])(
    '%s: its pods are judged from the first packet on, found in order also by the next agent, and taken off',
    async (cniVersion) => {
      const { namespace } = fed.node;
      const ours = { type: BUILT_PLUGIN, socket: api, timeout: 10 };
      const list = { ...FLANNEL_LIST, cniVersion, plugins: [...FLANNEL_LIST.plugins, ours] };
      const runtime = new CniRuntime({ namespace, list, subnetEnv, dataDir });
      const name = `late${cniVersion.replaceAll('.', '')}`;
      const sandbox = { namespace: `${namespace}-${name}`, pod: `shop/${name}` as ObjectKey };
      fed.record(name, undefined, { app: 'late' });
      runSync('ip', ['netns', 'add', sandbox.namespace]);
      try {
        expect(await runtime.add(sandbox)).toMatchObject({ cniVersion, interfaces: expect.any(Array) });
        expect([sends(sandbox.namespace, 'db'), sends(sandbox.namespace, 'web')]).toEqual([false, true]);
        if (cniVersion === '0.3.1') {
          await expect(runtime.check(sandbox)).rejects.toThrow(/CHECK/);
        } else {
          await runtime.check(sandbox);
          await agent.end('SIGKILL');
          await expect(runtime.check(sandbox)).rejects.toThrow(/selvedge-cni CHECK of .*"code":11/);
          agent = start();
          await agent.enforced(name);
          await runtime.check(sandbox);
        }
        await runtime.remove(sandbox);
        // Again, as runtimes do when they are not sure.
        await runtime.remove(sandbox);
        expect(netns.run(sandbox.namespace, () => netlink.links()).map((link) => link.name)).toEqual(['lo']);
      } finally {
        runSync('ip', ['netns', 'del', sandbox.namespace]);
      }
    },
    60_000,
  );
});
