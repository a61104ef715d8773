// The reference plugins `ptp`, with the list that kindnet writes, and `bridge` by itself, called as a container runtime does, with
// selvedge-cni behind them: pods' packets are judged by both data planes, from the first one on.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { BUILT_PLUGIN } from '../../src/cni/install.ts';
import { CniRuntime } from '../../src/lab/network/cni-runtime.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { eventually } from '../support/eventually.ts';
import { type Attempts, openAttempts } from '../support/kernel/attempts.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SUBNET = '10.67.0.0/24';
const ipamIn = (dataDir: string) => ({
  type: 'host-local',
  dataDir,
  routes: [{ dst: '0.0.0.0/0' }],
  ranges: [[{ subnet: SUBNET }]],
});
const portmap = { type: 'portmap', capabilities: { portMappings: true } };
const LISTS = {
  ptp: (dataDir: string) => [{ type: 'ptp', ipMasq: false, ipam: ipamIn(dataDir), mtu: 1500 }, portmap],
  bridge: (dataDir: string) => [{ type: 'bridge', bridge: 'br0', isGateway: true, ipam: ipamIn(dataDir) }],
};
const PODS = ['web', 'api', 'db'];

describeAsRoot('a node of another CNI', () => {
  describe.each(['ptp', 'bridge'] as const)('%s', (type) => {
    describe.each(['bpf', 'ipset'])('%s', (dataplane) => {
      const stations = new Map<string, Station>();
      const open: Attempts[] = [];
      let fed: FedNode;
      let folder: string;

      beforeAll(async () => {
        folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-cni-`));
        const socket = join(folder, 'agent.sock');
        fed = await FedNode.start();
        // What iptables must see of bridged packets, and nothing where there is no bridge.
        if (type === 'bridge') fed.node.track();
        fed.server.put(policy('shop', 'default-deny', { podSelector: {}, policyTypes: ['Ingress'], ingress: [] }));
        fed.admit('api', 'web');
        const agent = fed.agent({ args: ['--dataplane', dataplane, '--socket', socket] });
        await agent.ready();
        const plugins = [...LISTS[type](folder), { type: BUILT_PLUGIN, socket, timeout: 10, onAgentDown: 'closed' }];
        const list = { name: 'other', cniVersion: '0.3.1', plugins } as never;
        const runtime = new CniRuntime({ list, namespace: fed.node.namespace, subnetEnv: '', dataDir: folder });
        for (const name of PODS) {
          const namespace = `${fed.node.namespace}-${name}`;
          runSync('ip', ['netns', 'add', namespace]);
          stations.set(name, { kind: 'pod', namespace, address: '' as Address, name: `shop/${name}` });
          fed.record(name);
          const { ips = [] } = await runtime.add({ namespace, pod: `shop/${name}` as ObjectKey });
          const address = `${ips[0]?.address}`.split('/')[0] as Address;
          stations.set(name, { kind: 'pod', namespace, address, name: `shop/${name}` });
        }
      });

      afterEach(() => {
        for (const one of open.splice(0)) one.close();
      });

      afterAll(async () => {
        for (const { namespace } of stations.values()) runSync('ip', ['netns', 'delete', namespace]);
        await fed?.[Symbol.asyncDispose]();
        rmSync(folder, { recursive: true, force: true });
      });

      it.each(['TCP', 'UDP'] as const)('admits and drops what the policies say: %s', async (protocol) => {
        const attempt = async (from: string, to: string, port: number) => {
          const ends = { from: stations.get(from) as Station, to: stations.get(to) as Station };
          const one = await openAttempts({ ...ends, protocol, port });
          open.push(one);
          return one;
        };
        const admitted = await attempt('web', 'api', 8000);
        const denied = await Promise.all([
          attempt('db', 'api', 8001),
          attempt('api', 'web', 8002),
          attempt('web', 'db', 8003),
        ]);
        for (let round = 1; round <= 5; round++) {
          for (const one of denied) one.try();
          admitted.try();
          await eventually(() => expect(admitted.passed).toBeGreaterThanOrEqual(round));
        }
        expect(denied.map(({ passed }) => passed)).toEqual([0, 0, 0]);
      });
    });
  });
});
