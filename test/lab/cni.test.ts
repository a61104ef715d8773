/** Pods wired by the distribution's own CNI plugins, as on a Flannel node, with policies enforced by both data planes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { Lab } from '../../src/lab/lab.ts';
import { type Address, familyOf } from '../../src/model/address.ts';
import type { ContainerPort, Node } from '../../src/model/cluster.ts';
import { netlink, netns } from '../../src/native.ts';
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

      // As the kernel does by itself where many namespaces share its table of neighbours.
      for (const { namespace } of lab.interfaces()) {
        for (const family of ['-4', '-6']) output(namespace, 'ip', family, 'neighbour', 'flush', 'dev', 'cni0');
      }
      const anew = await lab.probeAll(askAll(['web', 'db', 'api']));
      expect(new Set(anew.map(({ verdict }) => verdict))).toEqual(new Set(['allow']));

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

  it.each(['vxlan', 'host-gw'] as const)(
    'the portmap plugin leads host ports to their pods over %s, in both families, until the pod is gone',
    async (backend) => {
      const ports: ContainerPort[] = [
        { protocol: 'TCP', port: 8080, hostPort: 9080 },
        { protocol: 'UDP', port: 8053, hostPort: 9053 },
      ];
      const nodes = [node(1), node(2)];
      const others = [pod('near', 1, 7), pod('far', 2, 6)];
      lab = await Lab.start({ cluster: { nodes, pods: [pod('web', 1, 5, { ports }), ...others] }, backend, cni: true });
      const askers = ['198.51.100.7', '2001:db8:5::7', 'near', 'far', 'web', '172.30.0.3', 'fd00:172:30::3'];
      const asked = askers.flatMap((from) =>
        (nodes[0] as Node).addresses
          .filter((to) => !/[.:]/.test(from) || familyOf(to) === familyOf(from as Address))
          .flatMap((to) => ['9080/tcp', '9053/udp'].map((port) => ask(from, to, port))),
      );
      const answered = await lab.probeAll(asked);
      expect(new Set(answered.map((one) => 'answeredBy' in one && one.answeredBy))).toEqual(new Set(['shop/web']));
      // It is the one node's port.
      expect(await lab.probeAll([ask('near', '172.30.0.3', '9080/tcp')])).toMatchObject([{ answeredBy: 'node2' }]);

      await lab.update({ nodes, pods: others });
      const left = await lab.probeAll(asked.slice(0, 4));
      expect(new Set(left.map((one) => 'answeredBy' in one && one.answeredBy))).toEqual(new Set(['node1']));
      const namespace = lab.interfaces()[0]?.namespace ?? '';
      for (const program of ['iptables-save', 'ip6tables-save']) {
        expect(output(namespace, program, '-t', 'nat')).not.toMatch(/--dport 9080|--to-destination/);
      }
    },
  );

  it('the tunnel is as flanneld makes it: static neighbours and forwarding entries, 50 bytes less where it is IPv4 alone', async () => {
    const only4 = (one: Node): Node => ({
      ...one,
      addresses: one.addresses.filter((address) => familyOf(address) === 4),
      podPrefixes: one.podPrefixes.filter((prefix) => familyOf(prefix) === 4),
    });
    const nodes = [only4(node(1)), only4(node(2))];
    const pods = [pod('web', 1, 5), pod('api', 2, 6)].map((one) => ({ ...one, addresses: one.addresses.slice(0, 1) }));
    lab = await Lab.start({ cluster: { nodes, pods }, backend: 'vxlan', cni: true });
    const [first, second] = lab.interfaces().map(({ namespace }) => namespace) as [string, string];
    const links = netns.run(first, () => netlink.links());
    const mtus = ['cni0', 'flannel.1'].map((name) => links.find((link) => link.name === name)?.mtu);
    expect(mtus).toEqual([1450, 1450]);
    const mac = netns.run(second, () => netlink.links()).find(({ name }) => name === 'flannel.1')?.mac;
    expect(output(first, 'ip', 'neigh', 'show', 'dev', 'flannel.1')).toMatch(
      new RegExp(`^10\\.244\\.2\\.0 lladdr ${mac} PERMANENT`, 'm'),
    );
    expect(output(first, 'bridge', 'fdb', 'show', 'dev', 'flannel.1')).toContain(
      `${mac} dst 172.30.0.3 self permanent`,
    );
    expect(output(first, 'ip', 'route', 'show', 'dev', 'flannel.1')).toContain('10.244.2.0/24 via 10.244.2.0 onlink');
    expect(await lab.probeAll([ask('web', 'api'), ask('api', 'web')])).toMatchObject([
      { verdict: 'allow' },
      { verdict: 'allow' },
    ]);
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
});
