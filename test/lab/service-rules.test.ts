/** Services as rules: text by text, without a kernel. */
import { describe, expect, it } from 'vitest';
import type { LabCluster } from '../../src/lab/lab-cluster.ts';
import { restoreText } from '../../src/lab/network/node-services.ts';
import { publishedPorts, translated } from '../../src/lab/network/service-ports.ts';
import { serviceRules } from '../../src/lab/network/service-rules.ts';
import type { Address } from '../../src/model/address.ts';
import type { Service } from '../../src/model/cluster.ts';
import { node, pod, service, tcp } from './small-cluster.ts';

const api = (name: string, onNode: number, number: number) => pod(name, onNode, number, { labels: { app: 'api' } });
const backends = [api('one', 1, 5), api('two', 2, 5), api('three', 2, 6)];
const external = ['192.0.2.80'] as Address[];

function clusterWith(...services: Service[]): LabCluster {
  return { nodes: [node(1), node(2)], pods: [pod('web', 1, 9), ...backends], services };
}

/** One rule in a line, `CHAIN RULE`; chains of one Service's port by their role alone, of a backend by its address. */
function lines(cluster: LabCluster, table: 'nat' | 'filter' = 'nat', family: 4 | 6 = 4, on = 'node1'): string[] {
  const chains = [...serviceRules(cluster, on, family)[table]];
  const names = new Map(
    chains.map(([name, rules]) => {
      const target = /--to-destination (\S+)/.exec(rules.join())?.[1];
      return [name, name.replace(/[0-9a-f]{16}$/, target ?? 'port')];
    }),
  );
  const plain = (text: string) => text.replace(/LAB-\w+-[0-9a-f]{16}/g, (name) => names.get(name) ?? name);
  return chains.flatMap(([name, rules]) => rules.map((rule) => plain(`${name} ${rule}`)));
}

describe('a Service as rules', () => {
  it('leads its addresses to one of its pods, and back by the node where it must', () => {
    const ports = [{ protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }] as const;
    expect(lines(clusterWith(service('api', 1, { ports }))).join('\n')).toBe(
      `LAB-SERVICES -d 10.96.0.1 -p tcp -m tcp --dport 80 -j LAB-OFF-CLUSTER
LAB-SERVICES -d 10.96.0.1 -p tcp -m tcp --dport 80 -j LAB-ALL-port
LAB-SERVICES -m addrtype --dst-type LOCAL -j LAB-NODEPORTS
LAB-NODEPORTS -d 127.0.0.0/8 -j RETURN
LAB-NODEPORTS -p tcp -m tcp --dport 30080 -j LAB-EXT-port
LAB-MASQUERADE -j MARK --or-mark 0x4000
LAB-OFF-CLUSTER -s 10.244.1.0/24 -j RETURN
LAB-OFF-CLUSTER -s 10.244.2.0/24 -j RETURN
LAB-OFF-CLUSTER -j LAB-MASQUERADE
LAB-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
LAB-POSTROUTING -j MARK --xor-mark 0x4000
LAB-POSTROUTING -j MASQUERADE --random-fully
LAB-EXT-port -j LAB-MASQUERADE
LAB-EXT-port -j LAB-ALL-port
LAB-ALL-port -m statistic --mode random --probability 0.3333333333 -j LAB-END-10.244.1.5:8080
LAB-ALL-port -m statistic --mode random --probability 0.5000000000 -j LAB-END-10.244.2.6:8080
LAB-ALL-port -j LAB-END-10.244.2.5:8080
LAB-LOC-port -j LAB-END-10.244.1.5:8080
LAB-END-10.244.1.5:8080 -s 10.244.1.5 -j LAB-MASQUERADE
LAB-END-10.244.1.5:8080 -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8080
LAB-END-10.244.2.6:8080 -s 10.244.2.6 -j LAB-MASQUERADE
LAB-END-10.244.2.6:8080 -p tcp -m tcp -j DNAT --to-destination 10.244.2.6:8080
LAB-END-10.244.2.5:8080 -s 10.244.2.5 -j LAB-MASQUERADE
LAB-END-10.244.2.5:8080 -p tcp -m tcp -j DNAT --to-destination 10.244.2.5:8080`,
    );
  });

  it('has the same in IPv6', () => {
    const all = lines(clusterWith(service('api', 1)), 'nat', 6);
    expect(all[0]).toBe('LAB-SERVICES -d fd00:10:96::1 -p tcp -m tcp --dport 80 -j LAB-OFF-CLUSTER');
    expect(all.at(-1)).toBe(
      'LAB-END-[fd00:10:244:2::5]:8080 -p tcp -m tcp -j DNAT --to-destination [fd00:10:244:2::5]:8080',
    );
  });

  it('keeps a client’s address with externalTrafficPolicy Local: only backends of this node answer it', () => {
    const local = service('api', 1, { externalTrafficPolicy: 'Local', externalAddresses: external });
    const cluster = clusterWith({ ...local, addresses: [...local.addresses, ...external] });
    expect(lines(cluster)).toEqual(
      expect.arrayContaining([
        'LAB-SERVICES -d 192.0.2.80 -p tcp -m tcp --dport 80 -j LAB-EXT-port',
        'LAB-EXT-port -s 10.244.1.0/24 -j LAB-ALL-port',
        'LAB-EXT-port -s 10.244.2.0/24 -j LAB-ALL-port',
        'LAB-EXT-port -m addrtype --src-type LOCAL -j LAB-MASQUERADE',
        'LAB-EXT-port -m addrtype --src-type LOCAL -j LAB-ALL-port',
        'LAB-EXT-port -j LAB-LOC-port',
      ]),
    );
    const elsewhere = { ...cluster, pods: backends.slice(1) };
    expect(lines(elsewhere, 'filter')).toEqual(['LAB-UNSERVED -d 192.0.2.80 -p tcp -m tcp --dport 80 -j DROP']);
    expect(lines(elsewhere, 'filter', 4, 'node2')).toEqual([]);
  });

  it('takes only backends of the node with internalTrafficPolicy Local', () => {
    const all = lines(clusterWith(service('api', 1, { internalTrafficPolicy: 'Local' })));
    expect(all[1]).toBe('LAB-SERVICES -d 10.96.0.1 -p tcp -m tcp --dport 80 -j LAB-LOC-port');
  });

  it('leads a client to the backend that it had before with session affinity', () => {
    const all = lines(clusterWith(service('api', 1, { affinitySeconds: 60 })));
    expect(all.filter((line) => line.includes('recent'))).toEqual([
      ...['10.244.1.5', '10.244.2.6', '10.244.2.5'].map((address) => {
        const name = `LAB-END-${address}:8080`;
        return `LAB-ALL-port -m recent --name ${name} --rcheck --seconds 60 --reap --rsource -j ${name}`;
      }),
      'LAB-LOC-port -m recent --name LAB-END-10.244.1.5:8080 --rcheck --seconds 60 --reap --rsource -j LAB-END-10.244.1.5:8080',
      ...['10.244.1.5', '10.244.2.6', '10.244.2.5'].map((address) => {
        const to = `LAB-END-${address}:8080`;
        return `${to} -m recent --name ${to} --set --rsource -p tcp -m tcp -j DNAT --to-destination ${address}:8080`;
      }),
    ]);
  });

  it('refuses what nobody is behind', () => {
    const ports = [{ protocol: 'UDP', port: 53, targetPort: 'dns', nodePort: 30053 }] as const;
    expect(lines(clusterWith(service('api', 1, { ports })), 'filter')).toEqual([
      'LAB-UNSERVED -d 10.96.0.1 -p udp -m udp --dport 53 -j REJECT',
      'LAB-UNSERVED -m addrtype --dst-type LOCAL -p udp -m udp --dport 30053 -j REJECT',
    ]);
  });

  it('has a named port as each pod has it, and no pod that has finished or is of another namespace', () => {
    const named = (port: number) => ({
      ports: [{ name: 'http', protocol: 'TCP' as const, port }],
      labels: { app: 'x' },
    });
    const pods = [
      pod('a', 1, 5, named(8080)),
      pod('b', 1, 6, named(9090)),
      pod('c', 1, 7, { labels: { app: 'x' } }),
      pod('d', 1, 8, { ...named(1), finished: true }),
      pod('e', 1, 9, { ...named(2), namespace: 'other' }),
      pod('f', 2, 9, { ...named(3), hostNetwork: true, addresses: [] }),
    ];
    const ports = [{ protocol: 'TCP', port: 80, targetPort: 'http' }] as const;
    const cluster = { nodes: [node(1), node(2)], pods, services: [service('x', 1, { ports })] };
    expect(
      publishedPorts(cluster, 4)[0]?.backends.map(({ pod: key, address, port }) => `${key} ${address}:${port}`),
    ).toEqual(['shop/a 10.244.1.5:8080', 'shop/b 10.244.1.6:9090', 'shop/f 172.30.0.3:3']);
  });

  it('is left out when it is headless or somebody else keeps its endpoints', () => {
    const { selector: _, ...selectorless } = service('api', 2);
    const cluster = clusterWith(service('api', 1, { addresses: [] }), selectorless);
    expect(publishedPorts(cluster, 4)).toEqual([]);
    expect(translated(cluster, { address: '10.96.0.2' as Address, port: 80, protocol: 'TCP' })).toBeUndefined();
  });
});

describe('a host port as rules', () => {
  it('leads the node’s addresses, or one of them, to its pod there', () => {
    const ports = [
      { ...tcp(80), hostPort: 8080 },
      { ...tcp(81), hostPort: 8081, hostAddress: '172.30.0.2' as Address },
    ];
    const cluster = { nodes: [node(1), node(2)], pods: [pod('web', 1, 5, { ports })] };
    const all = lines(cluster);
    expect(all).toEqual(
      expect.arrayContaining([
        'LAB-NODEPORTS -p tcp -m tcp --dport 8080 -j LAB-HOST-10.244.1.5:80',
        'LAB-NODEPORTS -d 172.30.0.2 -p tcp -m tcp --dport 8081 -j LAB-HOST-10.244.1.5:81',
        'LAB-HOST-10.244.1.5:80 -s 10.244.1.0/24 -j LAB-MASQUERADE',
        'LAB-HOST-10.244.1.5:80 -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:80',
      ]),
    );
    expect(lines(cluster, 'nat', 6).filter((line) => line.includes('8081'))).toEqual([]);
    expect(lines(cluster, 'nat', 4, 'node2').filter((line) => line.includes('HOST'))).toEqual([]);
  });
});

describe('a restore', () => {
  const rules = serviceRules(clusterWith(service('api', 1)), 'node1', 4);

  it('leads the built-in chains to ours once', () => {
    const first = restoreText(rules);
    expect(first.match(/-A (PREROUTING|OUTPUT|POSTROUTING|INPUT|FORWARD) .*/g)).toEqual([
      '-A PREROUTING -j LAB-SERVICES',
      '-A OUTPUT -j LAB-SERVICES',
      '-A POSTROUTING -j LAB-POSTROUTING',
      ...['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `-A ${chain} -m conntrack --ctstate NEW -j LAB-UNSERVED`),
    ]);
    expect(restoreText(rules, rules)).not.toMatch(/-A (PREROUTING|OUTPUT|POSTROUTING|INPUT|FORWARD)/);
  });

  it('removes the chains of what is gone', () => {
    const without = serviceRules(clusterWith(), 'node1', 4);
    const text = restoreText(without, rules);
    const gone = [...rules.nat.keys()].filter((name) => !without.nat.has(name));
    expect(gone).toHaveLength(6);
    for (const name of gone) expect(text).toMatch(new RegExp(`:${name} - \\[0:0\\][^]*-X ${name}`));
  });
});
