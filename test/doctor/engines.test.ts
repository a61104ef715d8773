/** Other policy engines are found by what they really leave in a kernel: tables, chains, sets, interfaces, programs. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { ExaminedNode } from './support/examined-node.ts';

const chains = (...names: readonly string[]) =>
  `*filter\n${names.map((name) => `:${name} - [0:0]\n`).join('')}COMMIT\n`;

/** The name is Cilium's. */
const OTHER_PROGRAM = `
__attribute__((section("tc"), used)) int cil_from_container(void *skb) { return -1; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
`;

describeAsRoot('of other engines', () => {
  it('nothing is found on a node without them', async () => {
    using node = new ExaminedNode(['veth0']);
    const found = await node.find([]);
    const others = [...found.values()].filter(({ group }) => group === 'other engines');
    expect(others.map(({ id, status, found: words }) => [id, status, words])).toEqual(
      others.map(({ id }) => [id, 'ok', id === 'tc-programs' || id === 'marks' ? 'none' : 'no trace']),
    );
    expect(others.length).toBe(10);
  });

  it('kube-network-policies is known by its table', async () => {
    using node = new ExaminedNode();
    node.run(
      'nft',
      ['-f', '-'],
      'table inet kube-network-policies { chain postrouting { type filter hook postrouting priority 95; accept; }; }',
    );
    expect(await node.findOne('kube-network-policies')).toMatchObject({
      status: 'warning',
      found: 'nftables table inet kube-network-policies',
      todo: expect.stringContaining('netpol.enabled=false'),
    });
  });

  it('Calico, kube-router, Weave and Cilium are known by their chains, in either iptables', async () => {
    using node = new ExaminedNode();
    node.run('iptables-nft-restore', ['--noflush'], chains('cali-FORWARD', 'cali-from-wl', 'CILIUM_FORWARD'));
    node.run(
      'iptables-legacy-restore',
      ['--noflush'],
      chains('KUBE-ROUTER-FORWARD', 'KUBE-NWPLCY-DEFAULT', 'WEAVE-NPC'),
    );
    const found = await node.find(['calico', 'cilium', 'kube-router', 'weave', 'antrea']);
    expect([...found.values()].map(({ id, status, found: words }) => [id, status, words])).toEqual([
      ['calico', 'warning', 'chains cali-FORWARD, cali-from-wl'],
      ['cilium', 'warning', 'chains CILIUM_FORWARD'],
      ['kube-router', 'warning', 'chains KUBE-NWPLCY-DEFAULT, KUBE-ROUTER-FORWARD'],
      ['weave', 'warning', 'chains WEAVE-NPC'],
      ['antrea', 'ok', 'no trace'],
    ]);
  });

  it('sets and interfaces that they have left are named, the first of many', async () => {
    using node = new ExaminedNode(['cali1a2b3c', 'cilium_host', 'antrea-gw0']);
    const sets = [1, 2, 3, 4].map((number) => `create cali40s:${number} hash:net`);
    node.run('ipset', ['restore'], `${[...sets, 'create KUBE-SRC-ABC hash:ip'].join('\n')}\n`);
    const found = await node.find(['calico', 'cilium', 'kube-router', 'antrea']);
    expect([...found.values()].map(({ found: words }) => words)).toEqual([
      'sets cali40s:1, cali40s:2, cali40s:3 and 1 more, interfaces cali1a2b3c, cali1a2b3cp',
      'interfaces cilium_host, cilium_hostp',
      'sets KUBE-SRC-ABC',
      'interfaces antrea-gw0, antrea-gw0p',
    ]);
  });

  it('another’s program on a veth is found by its name and place', async () => {
    using node = new ExaminedNode(['veth0']);
    const object = join(node.root, 'other.bpf.o');
    node.run('clang', ['-O2', '-g', '-target', 'bpf', '-x', 'c', '-c', '-', '-o', object], OTHER_PROGRAM);
    node.run('tc', ['qdisc', 'add', 'dev', 'veth0', 'clsact']);
    node.run('tc', [
      'filter',
      'add',
      'dev',
      'veth0',
      'ingress',
      'bpf',
      'direct-action',
      'object-file',
      object,
      'section',
      'tc',
    ]);
    const found = await node.find(['tc-programs', 'cilium', 'aws']);
    // The kernel keeps 15 characters of a name.
    expect([...found.values()].map(({ id, found: words }) => [id, words])).toEqual([
      ['cilium', 'programs cil_from_contai'],
      ['aws', 'no trace'],
      ['tc-programs', 'cil_from_contai on veth0 (ingress)'],
    ]);
  });

  it('rules that write into our bits of the mark are told, in either iptables; others’ bits are theirs', async () => {
    using node = new ExaminedNode();
    const mangle = (...rules: readonly string[]) =>
      `*mangle\n${rules.map((rule) => `-A FORWARD ${rule}\n`).join('')}COMMIT\n`;
    const proxy = '-j MARK --or-mark 0x4000';
    node.run('iptables-nft-restore', ['--noflush'], mangle(proxy, '-i tun0 -j MARK --set-xmark 0x40000/0xff0000'));
    node.run('iptables-legacy-restore', ['--noflush'], mangle('-j CONNMARK --restore-mark --mask 0xff'));
    expect(await node.findOne('marks')).toMatchObject({
      status: 'warning',
      found: '-A FORWARD -i tun0 -j MARK --set-xmark 0x40000/0xff0000',
    });
    node.run('iptables-legacy-restore', ['--noflush'], mangle('-j CONNMARK --restore-mark'));
    expect((await node.findOne('marks')).found).toMatch(/; -A FORWARD -j CONNMARK --restore-mark/);
  });
});
