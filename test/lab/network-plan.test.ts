import { describe, expect, it } from 'vitest';
import type { LabCluster } from '../../src/lab/lab-cluster.ts';
import { labIdOf, macOf } from '../../src/lab/network/names.ts';
import { planNetwork } from '../../src/lab/network/network-plan.ts';
import type { Backend } from '../../src/lab/network/node-plan.ts';
import type { Address, Prefix } from '../../src/model/address.ts';
import { node, pod } from './small-cluster.ts';

const lab = labIdOf(4711, 0);
const nodes = [node(1), node(2)];

function planOf(name: string, cluster: LabCluster, backend: Backend = 'vxlan', outside: string[] = []) {
  const plan = planNetwork(lab, cluster, backend, outside as Address[]).find((one) => one.name === `slv-4711${name}`);
  if (plan === undefined) throw new Error(`no namespace ${name}`);
  return { ...plan, added: plan.entries.map(({ add }) => add) };
}

describe('the plan of a node', () => {
  it('has with VXLAN the entries that flanneld writes for every other node', () => {
    const mac = macOf('slv-4711-node2 flannel.1');
    const { links, added } = planOf('-node1', { nodes, pods: [] });
    expect(links).toContain(
      `link add flannel.1 mtu 1450 address ${macOf('slv-4711-node1 flannel.1')} type vxlan id 1 local 172.30.0.2 dev eth0 dstport 8472 nolearning`,
    );
    expect(added).toEqual(
      expect.arrayContaining([
        `fdb replace ${mac} dev flannel.1 dst 172.30.0.3 self permanent`,
        `neigh replace 10.244.2.0 dev flannel.1 lladdr ${mac} nud permanent`,
        'route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
        'route replace fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel-v6.1 onlink',
      ]),
    );
  });

  it('carries IPv6 of pods in the same tunnel when the nodes have IPv4 only', () => {
    const only4 = nodes.map((one) => ({ ...one, addresses: one.addresses.slice(0, 1) }));
    const { links, added } = planOf('-node1', { nodes: only4, pods: [] });
    expect(links.filter((link) => link.includes('vxlan'))).toHaveLength(1);
    expect(added).toContain('route replace fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel.1 onlink');
  });

  it('has with host-gw routes over the wire and no tunnel', () => {
    const { links, added } = planOf('-node1', { nodes, pods: [] }, 'host-gw');
    expect(links.join()).not.toContain('vxlan');
    expect(added).toContain('route replace 10.244.2.0/24 via 172.30.0.3 dev eth0 onlink');
    expect(added).toContain('route replace fd00:10:244:2::/64 via fd00:172:30::3 dev eth0 onlink');
  });

  it('routes to pods whose addresses are not from their node, also past its own subnet', () => {
    const stray = pod('stray', 2, 9, { addresses: ['10.244.1.99', '192.0.2.1'] as Address[] });
    const cluster = { nodes, pods: [stray, pod('web', 1, 5)] };
    expect(planOf('-node1', cluster).added).toContain(
      'route replace 10.244.1.99/32 via 10.244.2.0 dev flannel.1 onlink',
    );
    expect(planOf('-node2', cluster).added).toContain('route replace 192.0.2.1/32 dev cni0');
    expect(planOf('-node1_shop_web', cluster).added).toEqual(['route replace 10.244.1.99/32 via 10.244.1.1 dev eth0']);
  });

  it('gives its bridge another address when a pod has the first one', () => {
    const cluster = { nodes, pods: [pod('early', 1, 1, { addresses: ['10.244.1.1'] as Address[] })] };
    expect(planOf('-node1', cluster).setup).toContain('address add 10.244.1.2/24 dev cni0');
  });

  it('refuses nodes that cannot reach each other', () => {
    const apart = [
      node(1, { addresses: ['172.30.0.2'] as Address[] }),
      node(2, { addresses: ['fd00::3'] as Address[] }),
    ];
    expect(() => planNetwork(lab, { nodes: apart, pods: [] }, 'vxlan', [])).toThrow(
      'nodes node1 (172.30.0.2) and node2 (fd00::3) have no address of the same family',
    );
  });
});

describe('the plan of a network', () => {
  it('has no namespace for pods that have finished, are on no known node or use their node’s network', () => {
    const { node: _none, ...nowhere } = pod('nowhere', 1, 7);
    const pods = [
      pod('done', 1, 5, { finished: true }),
      pod('host', 1, 6, { hostNetwork: true }),
      nowhere,
      pod('lost', 9, 8),
      pod('web', 1, 9),
    ];
    const names = planNetwork(lab, { nodes, pods }, 'vxlan', []).map(({ name }) => name);
    expect(names).toEqual(
      ['_wire', '_outside', '-node1', '-node2', '-node1_shop_web'].map((name) => `slv-4711${name}`),
    );
  });

  it('leaves every other namespace alone when a pod comes', () => {
    const base = ({ nodes: all, pods }: LabCluster) =>
      planNetwork(lab, { nodes: all, pods }, 'vxlan', []).map(({ name, setup, links }) => ({ name, setup, links }));
    const before = base({ nodes, pods: [pod('a', 1, 5)] });
    const after = base({ nodes, pods: [pod('a', 1, 5), pod('b', 1, 6)] });
    expect(after).toEqual(expect.arrayContaining(before));
    expect(after).toHaveLength(before.length + 1);
  });

  it('plays outside addresses also where a pod subnet would hide them', () => {
    const cluster = { nodes, pods: [pod('web', 1, 5)] };
    const via = 'via 169.254.0.1 dev eth0 onlink';
    expect(planOf('_outside', cluster, 'vxlan', ['10.244.1.200']).added).toContain(
      'address add 10.244.1.200/32 dev eth0',
    );
    expect(planOf('-node2', cluster, 'vxlan', ['10.244.1.200']).added).toContain(
      `route replace 10.244.1.200/32 ${via}`,
    );
    expect(planOf('-node1_shop_web', cluster, 'vxlan', ['10.244.1.200']).added).toEqual([
      'route replace 10.244.1.200/32 via 10.244.1.1 dev eth0',
    ]);
  });

  it('has prefixes of nodes that have none for their pods', () => {
    const bare = [node(1, { podPrefixes: [] as Prefix[] }), node(2)];
    const cluster = { nodes: bare, pods: [pod('web', 1, 5)] };
    expect(planOf('-node1_shop_web', cluster).setup).toContain('route add 0.0.0.0/0 via 169.254.1.1 dev eth0 onlink');
    expect(planOf('-node2', cluster).added.join('\n')).toContain('route replace 10.244.1.5/32 via inet6 fe80::');
  });
});
