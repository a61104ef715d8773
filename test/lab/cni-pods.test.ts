/** Pods that come and go through CNI plugins, on nodes and between them, under policies that both data planes enforce. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { BUILT_PLUGIN } from '../../src/cni/install.ts';
import { Agents } from '../../src/lab/agents/agents.ts';
import { runLiveLab } from '../../src/lab/live-lab.ts';
import { CniRuntime } from '../../src/lab/network/cni-runtime.ts';
import { FLANNEL_LIST } from '../../src/lab/network/cni-wiring.ts';
import { answerDifferences } from '../../src/lab/probing/self-check.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { netlink, netns, socket } from '../../src/native.ts';
import { directorySource } from '../../src/sources/directory/directory-source.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { manifestText, selvedge } from '../observe/command.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { PATIENCE } from '../support/patience.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { askAll } from './small-cluster.ts';

describeAsRoot('pods that CNI plugins add and remove', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['bpf', 'ipset'])(
    'are judged by %s at their host ports, by who asks there from outside',
    async (dataplane) => {
      const ports = [{ containerPort: 8080, hostPort: 9080 }];
      const web = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: 'shop', name: 'web', labels: { app: 'web' } },
        spec: { nodeName: 'node1', containers: [{ name: 'main', image: 'x', ports }] },
      };
      const node1 = {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'node1' },
        spec: { podCIDR: '10.244.1.0/24' },
        status: { addresses: [{ type: 'InternalIP', address: '172.30.0.2' }] },
      };
      const admitted = policy('shop', 'web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ ipBlock: { cidr: '198.51.100.0/24', except: ['198.51.100.9/32'] } }] }],
      });
      writeFileSync(join(folder, 'cluster.yaml'), manifestText([web, node1, admitted]));
      const asked = ['198.51.100.7', '198.51.100.9', '203.0.113.9'].flatMap((from) =>
        [9080, 9081].map((port) => JSON.stringify({ from, to: '172.30.0.2', port, protocol: 'TCP' })),
      );
      const args = ['lab', '--cni', '--manifests', folder, '--dataplane', dataplane, '--queries', '-', '-o', 'jsonl'];
      const { code, stdout, stderr } = await selvedge(args, asked.join('\n'));
      expect([code, stderr]).toEqual([0, '']);
      const verdicts = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).verdict);
      // 9081 is the node's own, which no policy is about.
      expect(verdicts).toEqual(['allow', 'allow', 'deny', 'allow', 'deny', 'allow']);
    },
  );

  it.each([
    ['bpf', 'vxlan'],
    ['ipset', 'vxlan'],
    ['bpf', 'host-gw'],
    ['ipset', 'host-gw'],
  ] as const)('are judged by %s over %s, state after state', async (dataplane, backend) => {
    const manifests = [folder];
    const podOf = (name: string, nodeName: string) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'shop', name, labels: { app: name.replace(/\d/, '') } },
      spec: { nodeName, containers: [{ name: 'main', image: 'x' }] },
    });
    const only = policy('shop', 'api', {
      podSelector: { matchLabels: { app: 'api' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
      egress: [{ to: [{ podSelector: { matchLabels: { app: 'db' } } }] }],
    });
    const [web1, api1, db1] = [podOf('web1', 'node1'), podOf('api1', 'node2'), podOf('db1', 'node1')];
    const states = [
      [web1, api1, db1],
      [web1, api1, db1, podOf('api2', 'node1'), podOf('web2', 'node2')],
      [api1, podOf('api2', 'node1'), podOf('web2', 'node2'), podOf('db2', 'node2'), podOf('idle', 'node1')],
      [web1, api1],
    ];
    const denied: number[] = [];
    const differences: (string | undefined)[] = [];
    const stop = new AbortController();
    const write = (pods: readonly object[]) => writeFileSync(join(folder, 'all.yaml'), manifestText([...pods, only]));
    write(states[0] as object[]);
    await runLiveLab(
      {
        source: directorySource(manifests),
        backend,
        cni: true,
        enforcer: (started) => new Agents({ manifests, dataplane, pinDir: started.mountBpffs() }),
        onProblem: (problem) => void differences.push(problem.message),
        onSettled: async (settled, view) => {
          const names = view.cluster.pods.map(({ name }) => name);
          // A change between two looks at the folder would be two states.
          if (names.length !== states[denied.length]?.length) return;
          const queries = askAll(names);
          const outcomes = await settled.probeAll(queries);
          denied.push(outcomes.filter(({ verdict }) => verdict === 'deny').length);
          differences.push(...answerDifferences({ view, queries, outcomes, services: false }).filter(Boolean));
          const next = states[denied.length];
          if (next === undefined) stop.abort();
          else write(next);
        },
      },
      stop.signal,
    );
    expect(differences).toEqual([]);
    expect(denied.every((count) => count > 0)).toBe(true);
    expect(denied).toHaveLength(states.length);
  });

  it.each(['bpf', 'ipset'])(
    'have their first packet judged by %s with selvedge-cni behind the plugins',
    async (dataplane) => {
      await using fed = await FedNode.start();
      const api = join(folder, 'agent.sock');
      const { namespace } = fed.node;
      fed.node.track();
      const settings = [
        '--dataplane',
        dataplane,
        '--socket',
        api,
        '--health-address',
        '',
        '--pending',
        'open',
        '--set-sysctls',
      ];
      const agent = fed.agent({ args: settings });
      for (const [place, name] of ['web', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
      const egress = [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }] }];
      fed.server.put(
        policy('shop', 'late', { podSelector: { matchLabels: { app: 'late' } }, policyTypes: ['Egress'], egress }),
      );
      await agent.enforced('web', 'db');
      for (const name of ['web', 'db']) await fed.node.whenUp(name);
      fed.record('late');

      const subnetEnv = join(folder, 'subnet.env');
      writeFileSync(
        subnetEnv,
        'FLANNEL_NETWORK=10.66.0.0/16\nFLANNEL_SUBNET=10.66.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
      );
      mkdirSync(join(folder, 'ipam'));
      const list = {
        ...FLANNEL_LIST,
        plugins: [...FLANNEL_LIST.plugins, { type: BUILT_PLUGIN, socket: api, timeout: 10 }],
      };
      const runtime = new CniRuntime({ namespace, list, subnetEnv, dataDir: join(folder, 'ipam') });
      const sandbox = {
        namespace: `${namespace}-late`,
        pod: 'shop/late' as ObjectKey,
        addresses: ['10.66.0.77' as never],
      };
      runSync('ip', ['netns', 'add', sandbox.namespace]);
      try {
        const result = await runtime.add(sandbox);
        const heard = (to: string) => {
          const { address, listener } = fed.node.pod(to);
          const fd = netns.run(sandbox.namespace, () => socket.open({ family: 4, type: 'udp' }));
          socket.send(fd, Buffer.from('first'), { address, port: 7000 });
          const came = socket.receive(listener, to === 'web' ? PATIENCE : 300);
          socket.close(fd);
          return came?.data.toString();
        };
        expect([heard('db'), heard('web')]).toEqual([undefined, 'first']);
        expect(result.ips).toMatchObject([{ address: '10.66.0.77/24' }]);
        await runtime.remove(sandbox);
        expect(netns.run(sandbox.namespace, () => netlink.links()).map(({ name }) => name)).toEqual(['lo']);
      } finally {
        runSync('ip', ['netns', 'del', sandbox.namespace]);
      }
    },
  );
});
