/**
 * A cluster's Services -> the chains by which one node translates them, as kube-proxy's iptables mode does it:
 *
 *   PREROUTING, OUTPUT ─▶ LAB-SERVICES ─▶ (LAB-EXT-…) ─▶ LAB-ALL-… or LAB-LOC-… ─▶ LAB-END-… ─▶ DNAT
 *                              └─ own addresses ─▶ LAB-NODEPORTS ─▶ LAB-EXT-…, LAB-END-…
 *   POSTROUTING ─▶ LAB-POSTROUTING: what bears the mark 0x4000 is masqueraded
 *   INPUT, FORWARD, OUTPUT ─▶ LAB-UNSERVED (filter): ports without a backend
 */
import { createHash } from 'node:crypto';
import { type Family, familyOf } from '../../model/address.ts';
import type { Protocol } from '../../model/cluster.ts';
import type { LabCluster } from '../lab-cluster.ts';
import { type Backend, hostPorts, type PublishedPort, publishedPorts } from './service-ports.ts';

/** Rules by chain, each without its `-A CHAIN`. */
export type Chains = ReadonlyMap<string, readonly string[]>;

export interface NodeRules {
  readonly nat: Chains;
  readonly filter: Chains;
}

/** How the built-in chains lead to ours, by table. */
export const JUMPS = {
  nat: ['PREROUTING -j LAB-SERVICES', 'OUTPUT -j LAB-SERVICES', 'POSTROUTING -j LAB-POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `${chain} -m conntrack --ctstate NEW -j LAB-UNSERVED`),
} as const;

/** kube-proxy's mark for what is to be masqueraded. */
const MARK = '0x4000';
const LOOPBACK: Record<Family, string> = { 4: '127.0.0.0/8', 6: '::1/128' };

export function serviceRules(cluster: LabCluster, node: string, family: Family): NodeRules {
  const ports = publishedPorts(cluster, family);
  const prefixes = cluster.nodes.flatMap(({ podPrefixes }) => podPrefixes).filter((one) => familyOf(one) === family);
  const shape: Shape = { node, family, prefixes };
  const hosts = hostPorts(cluster, node, family);
  return {
    nat: new Map([
      ['LAB-SERVICES', [...ports.flatMap(entrances), '-m addrtype --dst-type LOCAL -j LAB-NODEPORTS']],
      [
        'LAB-NODEPORTS',
        [
          // 127.0.0.1 is not led out of the node: it would have to let packets to it in.
          `-d ${LOOPBACK[family]} -j RETURN`,
          ...ports.flatMap((port) =>
            port.nodePort === undefined
              ? []
              : `${protocolAndPort(port.protocol, port.nodePort)} -j ${chain('EXT', port)}`,
          ),
          ...hosts.map(({ protocol, port, address, backend }) => {
            return `${address ? `-d ${address} ` : ''}${protocolAndPort(protocol, port)} -j ${hostChain(backend, protocol)}`;
          }),
        ],
      ],
      ['LAB-MASQUERADE', [`-j MARK --or-mark ${MARK}`]],
      ['LAB-OFF-CLUSTER', [...prefixes.map((prefix) => `-s ${prefix} -j RETURN`), '-j LAB-MASQUERADE']],
      [
        'LAB-POSTROUTING',
        [
          `-m mark ! --mark ${MARK}/${MARK} -j RETURN`,
          // Once is enough: a packet that comes by again, in a tunnel, is the node's own.
          `-j MARK --xor-mark ${MARK}`,
          '-j MASQUERADE --random-fully',
        ],
      ],
      ...ports.flatMap((port) => portChains(port, shape)),
      ...hosts.map(({ backend, protocol }): [string, string[]] => [
        hostChain(backend, protocol),
        // A pod that came in by its own node's address would see an answer from its neighbour, or itself, instead.
        [...prefixes.map((prefix) => `-s ${prefix} -j LAB-MASQUERADE`), dnat(backend, protocol, family)],
      ]),
    ]),
    filter: new Map([['LAB-UNSERVED', ports.flatMap((port) => unserved(port, node))]]),
  };
}

interface Shape {
  readonly node: string;
  readonly family: Family;
  /** Where pods' addresses are from. */
  readonly prefixes: readonly string[];
}

/** By the Service's own addresses. From outside of the cluster the answer must come back by this node. */
function entrances(port: PublishedPort): string[] {
  const here = protocolAndPort(port.protocol, port.port);
  const inner = chain(port.internalLocal ? 'LOC' : 'ALL', port);
  return [
    ...port.clusterAddresses.flatMap((address) => [
      `-d ${address} ${here} -j LAB-OFF-CLUSTER`,
      `-d ${address} ${here} -j ${inner}`,
    ]),
    ...port.externalAddresses.map((address) => `-d ${address} ${here} -j ${chain('EXT', port)}`),
  ];
}

function portChains(port: PublishedPort, { node, family, prefixes }: Shape): [string, string[]][] {
  const { backends, protocol, affinitySeconds } = port;
  const local = backends.filter((backend) => backend.node === node);
  const all = chain('ALL', port);
  // With `Local` the client's address stays as it is, which only a backend of this node can answer through this node.
  const external = port.externalLocal
    ? [
        ...prefixes.map((prefix) => `-s ${prefix} -j ${all}`),
        '-m addrtype --src-type LOCAL -j LAB-MASQUERADE',
        `-m addrtype --src-type LOCAL -j ${all}`,
        `-j ${chain('LOC', port)}`,
      ]
    : ['-j LAB-MASQUERADE', `-j ${all}`];
  return [
    [chain('EXT', port), external],
    [all, choice(port, backends)],
    [chain('LOC', port), choice(port, local)],
    ...backends.map((backend): [string, string[]] => {
      const name = backendChain(port, backend);
      const remember = affinitySeconds === undefined ? '' : `-m recent --name ${name} --set --rsource `;
      // Else a pod that reaches itself would get packets from its own address.
      return [name, [`-s ${backend.address} -j LAB-MASQUERADE`, remember + dnat(backend, protocol, family)]];
    }),
  ];
}

/** Each backend alike: the first of n takes one in n, the next one in n - 1 of the others. */
function choice(port: PublishedPort, backends: readonly Backend[]): string[] {
  const { affinitySeconds } = port;
  const chains = backends.map((backend) => backendChain(port, backend));
  const known = chains.map((name) => {
    return `-m recent --name ${name} --rcheck --seconds ${affinitySeconds} --reap --rsource -j ${name}`;
  });
  const dice = chains.map((name, index) => {
    const left = chains.length - index;
    if (left === 1) return `-j ${name}`;
    return `-m statistic --mode random --probability ${(1 / left).toFixed(10)} -j ${name}`;
  });
  return [...(affinitySeconds === undefined ? [] : known), ...dice];
}

/** What comes to these rules was not translated. */
function unserved(port: PublishedPort, node: string): string[] {
  const { backends, protocol, externalLocal, internalLocal } = port;
  const local = backends.some((backend) => backend.node === node);
  const fate = (onlyLocal: boolean) => (backends.length === 0 ? 'REJECT' : onlyLocal && !local ? 'DROP' : undefined);
  const [within, outside] = [fate(internalLocal), fate(externalLocal)];
  const here = protocolAndPort(protocol, port.port);
  return [
    ...(within ? port.clusterAddresses.map((address) => `-d ${address} ${here} -j ${within}`) : []),
    ...(outside ? port.externalAddresses.map((address) => `-d ${address} ${here} -j ${outside}`) : []),
    ...(outside && port.nodePort !== undefined
      ? [`-m addrtype --dst-type LOCAL ${protocolAndPort(protocol, port.nodePort)} -j ${outside}`]
      : []),
  ];
}

function dnat({ address, port }: Backend, protocol: Protocol, family: Family): string {
  const name = protocol.toLowerCase();
  return `-p ${name} -m ${name} -j DNAT --to-destination ${family === 4 ? address : `[${address}]`}:${port}`;
}

function protocolAndPort(protocol: Protocol, port: number): string {
  const name = protocol.toLowerCase();
  return `-p ${name} -m ${name} --dport ${port}`;
}

function chain(role: 'ALL' | 'LOC' | 'EXT', { service, protocol, port }: PublishedPort): string {
  return `LAB-${role}-${hash(`${service} ${protocol} ${port}`)}`;
}

function backendChain({ service, protocol, port }: PublishedPort, backend: Backend): string {
  return `LAB-END-${hash(`${service} ${protocol} ${port} ${backend.pod} ${backend.address} ${backend.port}`)}`;
}

function hostChain({ pod, port }: Backend, protocol: Protocol): string {
  return `LAB-HOST-${hash(`${pod} ${protocol} ${port}`)}`;
}

/** A chain's name has at most 28 characters. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
