/** Who reaches whom through Services under which policies: for every data plane. */
import { policy } from '../support/cases/case.ts';
import { NODE1, NODE2 } from '../support/cases/cast.ts';
import type { NetworkPolicy, NetworkPolicySpec, Peer } from '../support/oracle/objects.ts';
import { CLIENT, EXTERNAL, VIRTUAL } from './served-cast.ts';

export const FAMILIES = ['IPv4', 'IPv6'] as const;
type Family = (typeof FAMILIES)[number];
export type Ends = Readonly<Record<Family, string>>;

const NODES: readonly Ends[] = [NODE1, NODE2].map(({ ipv4, ipv6 }) => ({ IPv4: ipv4, IPv6: ipv6 }));
const [node1, node2] = NODES as [Ends, Ends];
/** What a packet bears that node1 has masqueraded: its bridge's address to its own pods, its tunnel's to node2. */
const bridge1: Ends = { IPv4: '10.244.0.1', IPv6: 'fd00:10:244::1' };
const tunnel1: Ends = { IPv4: '10.244.0.0', IPv6: 'fd00:10:244::' };

const only = (app: string) => ({ podSelector: { matchLabels: { app } } });
const block = (ends: Ends): Peer[] => {
  return FAMILIES.map((family) => ({ ipBlock: { cidr: `${ends[family]}/${family === 'IPv4' ? 32 : 128}` } }));
};
/** Isolates the pods of an app; these may reach it, and it these. */
const closed = (app: string, more: { from?: Peer[]; to?: Peer[]; ports?: number[] } = {}) => {
  const { from = [], to = [], ports } = more;
  const at = ports && { ports: ports.map((port) => ({ port })) };
  const spec: NetworkPolicySpec = {
    ...only(app),
    policyTypes: ['Ingress', 'Egress'],
    ingress: from.length === 0 ? [] : [{ from, ...at }],
    egress: to.length === 0 ? [] : [{ to, ...at }],
  };
  return policy(`shop/${app}`, spec);
};
/** A server that these may reach. */
const server = (app: string, from: Peer[] = []) =>
  policy(`shop/${app}`, { ...only(app), ingress: [{ from }].filter(() => from.length > 0) });

/** Ends are pods, or addresses by family; the answer is who gives it, or `deny`. */
type Expectation = readonly [from: string | Ends, to: string | Ends, port: string, answer: string];

export interface ServiceCase {
  readonly name: string;
  readonly policies: readonly NetworkPolicy[];
  readonly expectations: readonly Expectation[];
}

function serviceCase(
  name: string,
  policies: readonly NetworkPolicy[],
  expectations: readonly Expectation[],
): ServiceCase {
  return { name, policies, expectations };
}

export const serviceCases: readonly ServiceCase[] = [
  serviceCase(
    'pass without policies, however they come',
    [],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'shop/api'],
      ['shop/web', VIRTUAL.db, '80/udp', 'shop/db'],
      ['shop/web', node1, '30081/tcp', 'shop/api'],
      ['audit/scan', node1, '30082/tcp', 'shop/db'],
      [CLIENT, node1, '30081/tcp', 'shop/api'],
      [CLIENT, node1, '30082/tcp', 'shop/db'],
      [CLIENT, EXTERNAL, '80/tcp', 'shop/api'],
      [CLIENT, node1, '9081/tcp', 'shop/api'],
      [node1, VIRTUAL.db, '80/tcp', 'shop/db'],
      ['shop/web', VIRTUAL.host, '80/tcp', 'node1'],
      ['shop/web', VIRTUAL.far, '80/tcp', 'node2'],
    ],
  ),
  serviceCase(
    'a policy that admits the backend’s pods admits their Service, on the same node and another',
    [closed('web', { to: [only('api'), only('db')] })],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'shop/api'],
      ['shop/web', VIRTUAL.db, '80/tcp', 'shop/db'],
      ['shop/web', VIRTUAL.api, '80/udp', 'shop/api'],
      ['shop/web', VIRTUAL.db, '80/udp', 'shop/db'],
      ['shop/web', node1, '30082/tcp', 'shop/db'],
      ['shop/web', VIRTUAL.scan, '80/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a policy that admits only the Service’s address admits nothing',
    [closed('web', { to: [...block(VIRTUAL.api), ...block(VIRTUAL.db)] })],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'deny'],
      ['shop/web', VIRTUAL.db, '80/tcp', 'deny'],
      ['shop/web', VIRTUAL.api, '80/udp', 'deny'],
      ['shop/web', VIRTUAL.db, '80/udp', 'deny'],
    ],
  ),
  serviceCase(
    'the port that counts is the backend’s',
    [closed('web', { to: [only('api'), only('db')], ports: [8081, 5432] })],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'shop/api'],
      ['shop/web', VIRTUAL.db, '80/tcp', 'shop/db'],
    ],
  ),
  serviceCase(
    'and not the Service’s',
    [closed('web', { to: [only('api'), only('db')], ports: [80] })],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'deny'],
      ['shop/web', VIRTUAL.db, '80/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a backend’s ingress is judged on the pod that asks, also when the node masquerades it',
    [server('api', [only('web')])],
    [
      ['shop/web', VIRTUAL.api, '80/tcp', 'shop/api'],
      ['shop/web', VIRTUAL.api, '80/udp', 'shop/api'],
      ['shop/web', node1, '30081/tcp', 'shop/api'],
      ['shop/web', bridge1, '30081/tcp', 'shop/api'],
      ['audit/web', VIRTUAL.api, '80/tcp', 'deny'],
      ['audit/web', VIRTUAL.api, '80/udp', 'deny'],
      ['audit/web', node1, '30081/tcp', 'deny'],
      ['audit/web', bridge1, '30081/tcp', 'deny'],
      ['audit/scan', VIRTUAL.api, '80/tcp', 'deny'],
      ['audit/scan', node1, '30081/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a backend on another node sees the pod that asks, unless that was masqueraded on its own node',
    [server('db', [only('web')])],
    [
      ['shop/web', VIRTUAL.db, '80/tcp', 'shop/db'],
      ['audit/web', VIRTUAL.db, '80/tcp', 'deny'],
      ['shop/web', node1, '30082/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a pod reaches itself through its own Service, whatever isolates it',
    [closed('web')],
    [
      ['shop/web', VIRTUAL.web, '80/tcp', 'shop/web'],
      ['shop/web', VIRTUAL.web, '80/udp', 'shop/web'],
      ['shop/web', VIRTUAL.api, '80/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'nobody else gets in by looking like that',
    [server('web')],
    [
      ['shop/web', VIRTUAL.web, '80/tcp', 'shop/web'],
      ['shop/web', node1, '30083/tcp', 'shop/web'],
      ['shop/api', VIRTUAL.web, '80/tcp', 'deny'],
      ['shop/api', node1, '30083/tcp', 'deny'],
      ['audit/web', bridge1, '30083/tcp', 'deny'],
      ['audit/scan', VIRTUAL.web, '80/tcp', 'deny'],
      [CLIENT, node1, '30083/tcp', 'deny'],
      [node2, node1, '30083/tcp', 'deny'],
      [node2, VIRTUAL.web, '80/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a client from outside, masqueraded to the node’s address, is not the node',
    [server('api', block(node1)), server('db')],
    [
      [CLIENT, node1, '30081/tcp', 'deny'],
      [CLIENT, node1, '30082/tcp', 'deny'],
      [CLIENT, node2, '30081/tcp', 'deny'],
      [CLIENT, node2, '30082/tcp', 'deny'],
      [CLIENT, EXTERNAL, '80/tcp', 'deny'],
      [CLIENT, node1, '9081/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'it is admitted as itself where it can be told who it is',
    [server('api', block(CLIENT)), server('db', block(CLIENT))],
    [
      [CLIENT, node1, '30081/tcp', 'shop/api'],
      [CLIENT, node2, '30082/tcp', 'shop/db'],
      // Not masqueraded: externalTrafficPolicy Local, hostPort.
      [CLIENT, EXTERNAL, '80/tcp', 'shop/api'],
      [CLIENT, EXTERNAL, '80/udp', 'shop/api'],
      [CLIENT, node1, '9081/tcp', 'shop/api'],
      // Masqueraded on another node, which alone could tell.
      [CLIENT, node1, '30082/tcp', 'deny'],
      [CLIENT, node2, '30081/tcp', 'deny'],
      [node2, node1, '30081/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'what another node masquerades is admitted as that node',
    [server('db', block(tunnel1))],
    [
      [CLIENT, node1, '30082/tcp', 'shop/db'],
      ['shop/web', node1, '30082/tcp', 'shop/db'],
      ['shop/web', VIRTUAL.db, '80/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'a node, its own processes and pods of its network always reach its pods, also through Services',
    [closed('web'), closed('api'), closed('db')],
    [
      [node1, 'shop/web', '8080/tcp', 'shop/web'],
      [bridge1, 'shop/web', '8080/tcp', 'shop/web'],
      ['shop/host', 'shop/web', '8080/udp', 'shop/web'],
      [node1, VIRTUAL.api, '80/tcp', 'shop/api'],
      [node1, node1, '30081/tcp', 'shop/api'],
      ['shop/host', VIRTUAL.api, '80/udp', 'shop/api'],
      [node2, 'shop/db', '5432/tcp', 'shop/db'],
      ['shop/web', 'shop/host', '9100/tcp', 'node1'],
      ['shop/web', VIRTUAL.host, '80/tcp', 'node1'],
    ],
  ),
  serviceCase(
    'another node and pods of its network do not',
    [closed('web'), closed('api'), closed('db')],
    [
      [node2, 'shop/web', '8080/tcp', 'deny'],
      ['shop/far', 'shop/web', '8080/udp', 'deny'],
      [node2, VIRTUAL.api, '80/tcp', 'deny'],
      [node2, node1, '30081/tcp', 'deny'],
      [node1, VIRTUAL.db, '80/tcp', 'deny'],
      ['shop/host', 'shop/db', '5432/tcp', 'deny'],
      ['shop/web', VIRTUAL.far, '80/tcp', 'deny'],
      ['shop/web', 'shop/far', '9100/tcp', 'deny'],
    ],
  ),
  serviceCase(
    'unless a policy admits its address',
    [closed('web', { from: block(node2), to: block(node2) })],
    [
      [node2, 'shop/web', '8080/tcp', 'shop/web'],
      ['shop/far', 'shop/web', '8080/udp', 'shop/web'],
      ['shop/web', VIRTUAL.far, '80/tcp', 'node2'],
      [node2, node1, '30083/tcp', 'shop/web'],
      ['audit/scan', 'shop/web', '8080/tcp', 'deny'],
    ],
  ),
];
