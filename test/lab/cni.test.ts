/** Pods wired by the distribution's own CNI plugins, as on a Flannel node, with policies enforced by both data planes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { BUILT_PLUGIN } from '../../src/cni/install.ts';
import { CniRuntime } from '../../src/lab/cni-runtime.ts';
import { FLANNEL_LIST } from '../../src/lab/cni-wiring.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { netlink, netns, socket } from '../../src/native.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { manifestText, selvedge } from '../observe/command.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ask, askAll, node, pod } from './small-cluster.ts';

describeAsRoot('a lab whose pods are wired by CNI plugins', () => {
  let lab: Lab | undefined;
  let folder = '';
  afterEach(() => {
    lab?.close();
    lab = undefined;
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
    folder = '';
  });

  const output = (namespace: string, ...command: [string, ...string[]]) => {
    const [name, ...args] = command;
    return netns.run(namespace, () => runSync(name, args));
  };

  it.each(['vxlan', 'host-gw'] as const)(
    'joins them over %s in both families, with the addresses asked for',
    async (backend) => {
      const nodes = [node(1), node(2)];
      lab = await Lab.start({
        cluster: { nodes, pods: [pod('web', 1, 5), pod('db', 1, 7), pod('api', 2, 6)] },
        backend,
        cni: true,
      });
      const outcomes = await lab.probeAll(askAll(['web', 'db', 'api']));
      expect(new Set(outcomes.map(({ verdict }) => verdict))).toEqual(new Set(['allow']));
      const [first] = lab.interfaces();
      expect([...(first?.pods.values() ?? [])].sort()).toEqual(['shop/db', 'shop/web']);
      expect([...(first?.pods.keys() ?? [])].every((ifindex) => ifindex > 0)).toBe(true);
      const links = netns.run(first?.namespace ?? '', () => netlink.links());
      const veths = links.filter(({ ifindex }) => first?.pods.has(ifindex));
      // Two tunnels, so the outer headers of IPv6 are taken off.
      const mtu = backend === 'vxlan' ? 1430 : 1500;
      expect(veths.map((link) => [link.kind, link.mtu])).toEqual([
        ['veth', mtu],
        ['veth', mtu],
      ]);

      await lab.update({ nodes, pods: [pod('web', 1, 5), pod('late', 2, 6)] });
      const again = await lab.probeAll(askAll(['web', 'late']));
      expect(new Set(again.map(({ verdict }) => verdict))).toEqual(new Set(['allow']));
      expect(lab.interfaces().map(({ pods }) => [...pods.values()])).toEqual([['shop/web'], ['shop/late']]);
      expect(await lab.probeAll([ask('web', 'api')])).toMatchObject([{ verdict: 'error' }]);
    },
  );

  it('what leaves the pods’ network bears its node’s address, as flanneld has it', async () => {
    const nodes = [node(1)];
    lab = await Lab.start({ cluster: { nodes, pods: [pod('web', 1, 5)] }, backend: 'vxlan', cni: true });
    const outside = await lab.probeAll([ask('web', '198.51.100.7'), ask('web', '2001:db8:5::7')]);
    expect(outside.map(({ verdict }) => verdict)).toEqual(['allow', 'allow']);
    const namespace = lab.interfaces()[0]?.namespace ?? '';
    for (const program of ['iptables', 'ip6tables']) {
      const rules = output(namespace, program, '-w', '-t', 'nat', '-v', '-S', 'FLANNEL-POSTRTG');
      expect(rules).toMatch(/-c [1-9]\d* \d+ .*-j MASQUERADE/);
    }
  });

  it('addresses that no plugin could give are refused', async () => {
    const cluster = { nodes: [node(1)], pods: [pod('web', 1, 5, { addresses: ['10.9.9.9' as never] })] };
    await expect(Lab.start({ cluster, backend: 'vxlan', cni: true })).rejects.toThrow(
      "with --cni addresses come from the node's subnets: shop/web has 10.9.9.9",
    );
  });

  it.each(['bpf', 'ipset'])(
    'traffic on and between nodes is judged by %s as the policies say',
    async (dataplane) => {
      folder = mkdtempSync(join(tmpdir(), 'selvedge-lab-'));
      const podOf = (name: string, nodeName: string) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: 'shop', name, labels: { app: name } },
        spec: { nodeName, containers: [{ name: 'main', image: 'x' }] },
      });
      const only = policy('shop', 'api', {
        podSelector: { matchLabels: { app: 'api' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
      });
      const pods = [podOf('web', 'node1'), podOf('near', 'node1'), podOf('api', 'node2'), podOf('db', 'node2')];
      writeFileSync(join(folder, 'cluster.yaml'), manifestText([...pods, only]));
      const ends = ['web', 'near', 'api', 'db'];
      const asked = ends.flatMap((from) =>
        ends.flatMap((to) => ['TCP', 'UDP'].map((protocol) => ({ from, to, protocol }))),
      );
      const lines = asked.map(({ from, to, protocol }) =>
        JSON.stringify({ from: `shop/${from}`, to: `shop/${to}`, port: 80, protocol }),
      );
      const args = ['lab', '--cni', '--manifests', folder, '--dataplane', dataplane, '--queries', '-', '-o', 'jsonl'];
      const { code, stdout, stderr } = await selvedge(args, lines.join('\n'));
      // It compares each answer with what the policies say.
      expect([code, stderr]).toEqual([0, '']);
      const denied = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter(({ verdict }) => verdict === 'deny');
      expect(new Set(denied.map(({ from, to }) => `${from} ${to}`))).toEqual(
        new Set(['shop/near shop/api', 'shop/db shop/api']),
      );
    },
    60_000,
  );

  it.each(['bpf', 'ipset'])(
    'with selvedge-cni behind them a first packet is judged by %s',
    async (dataplane) => {
      await using fed = await FedNode.start();
      folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
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
          const came = socket.receive(listener, to === 'web' ? 5_000 : 300);
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
    60_000,
  );
});
