/** So many policies, prefixes and pods of one node -> the compiled state, by the agent's own compiler. */
import { Compiler } from '../../compile/compiler.ts';
import type { DesiredState } from '../../dataplane/contract.ts';
import type { Address, Prefix } from '../../model/address.ts';
import {
  type ClusterObject,
  keyOf,
  type Labels,
  type NetworkPolicy,
  type Peer,
  type Pod,
  type PolicyRule,
} from '../../model/cluster.ts';
import type { Binding } from '../../model/links.ts';

const NODE = 'here';
const NAMESPACE = 'bench';

/** Of this node. The last two are under no policy, the others under all; `opened` and `opener` are for connections that only begin. */
export const LOCAL = ['server', 'client', 'opened', 'opener', 'free', 'other'] as const;
const ISOLATED: readonly string[] = ['server', 'client', 'opened', 'opener'];
export type LocalPod = (typeof LOCAL)[number];
/** Of other nodes: `member` is admitted by the last policy, `stranger` by none. */
export type RemotePod = 'member' | 'stranger';
export type End = LocalPod | RemotePod | 'inBlock' | 'besideBlock';

export interface WorldSize {
  readonly policies: number;
  /** Blocks in the last policy. */
  readonly prefixes?: number;
  /** More pods of this node, IPv4 alone, under all the policies. */
  readonly crowd?: number;
}

const FIXED: Readonly<Record<LocalPod | RemotePod, number>> = {
  server: 2,
  client: 3,
  free: 4,
  other: 5,
  member: 6,
  stranger: 7,
  opened: 8,
  opener: 9,
};
const PORTS = [
  { kind: 'range', protocol: 'TCP', from: 80, to: 80 },
  { kind: 'range', protocol: 'UDP', from: 53, to: 53 },
] as const;

export function addressOfEnd(end: End, family: 4 | 6, { prefixes = 0 }: WorldSize): Address {
  if (end === 'inBlock') return blockAddress(prefixes - 1, 7, family);
  if (end === 'besideBlock') return blockAddress(prefixes - 1, 256 + 7, family);
  // Nobody's network, so that each address of it is a stranger's.
  if (end === 'stranger' && family === 4) return '172.16.0.7' as Address;
  return (family === 4 ? `10.1.0.${FIXED[end]}` : `fd01::${FIXED[end]}`) as Address;
}

export function crowdAddress(index: number): Address {
  return `10.2.${index >> 8}.${index & 255}` as Address;
}

/** `ifindexes` are of LOCAL, then of the crowd. */
export function desiredState(size: WorldSize, ifindexes: readonly number[]): DesiredState {
  const compiler = new Compiler({ node: NODE });
  const local = [...LOCAL.map(fixedPod), ...Array.from({ length: size.crowd ?? 0 }, (_, index) => crowdPod(index))];
  const objects: ClusterObject[] = [
    { kind: 'Namespace', name: NAMESPACE, labels: { 'kubernetes.io/metadata.name': NAMESPACE } },
    ...local,
    fixedPod('member'),
    fixedPod('stranger'),
    ...Array.from({ length: size.policies - 1 }, (_, index) => fillerPod(index)),
    ...Array.from({ length: size.policies - 1 }, (_, index) => fillerPolicy(index)),
    lastPolicy(size),
  ];
  compiler.apply(objects.map((object) => ({ type: 'upsert', object })));
  return {
    compiled: compiler.state,
    bindings: new Map(local.map((pod, index) => bindingOf(pod, ifindexes[index] as number))),
    exits: new Map(),
    ownAddresses: new Set(['10.0.0.1' as Address, 'fd00::1' as Address]),
    pending: 'open',
  };
}

function bindingOf(pod: Pod, ifindex: number): [number, Binding] {
  const link = { ifindex, name: pod.name, addresses: pod.addresses };
  return [ifindex, { kind: 'endpoint', link, pod: keyOf(pod), linkLocal: [] }];
}

function podOf(name: string, labels: Labels, addresses: readonly Address[], node: string): Pod {
  return {
    kind: 'Pod',
    namespace: NAMESPACE,
    name,
    labels,
    node,
    addresses,
    hostNetwork: false,
    finished: false,
    ports: [],
  };
}

function fixedPod(name: LocalPod | RemotePod): Pod {
  const isolated = ISOLATED.includes(name);
  const labels: Record<string, string> = { ...(isolated && { under: 'all' }) };
  if (isolated || name === 'member') labels.role = 'member';
  const addresses = ([4, 6] as const).map((family) => addressOfEnd(name, family, { policies: 1 }));
  return podOf(name, labels, addresses, name === 'member' || name === 'stranger' ? 'there' : NODE);
}

function crowdPod(index: number): Pod {
  return podOf(`crowd-${index}`, { under: 'all' }, [crowdAddress(index)], NODE);
}

/** Everyone whom a policy admits exists, so that no policy is without rows. */
function fillerPod(index: number): Pod {
  const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}` as Address;
  return podOf(`peer-${index}`, { role: `peer-${index}` }, [address], 'there');
}

function fillerPolicy(index: number): NetworkPolicy {
  const ports = [{ kind: 'range', protocol: 'TCP', from: 10_000 + index, to: 10_000 + index }] as const;
  return policyOf(`policy-${index}`, { peers: [withRole(`peer-${index}`)], ports });
}

function lastPolicy({ prefixes = 0 }: WorldSize): NetworkPolicy {
  const blocks = Array.from({ length: prefixes }, (_, index): Peer => {
    return { kind: 'ipBlock', cidr: `${blockAddress(index, 0, 4)}/24` as Prefix, except: [] };
  });
  return policyOf('policy-last', { peers: [withRole('member'), ...blocks], ports: PORTS });
}

function policyOf(name: string, rule: PolicyRule): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace: NAMESPACE,
    name,
    podSelector: { requirements: [{ key: 'under', operator: 'Exists' }] },
    policyTypes: ['ingress', 'egress'],
    ingress: [rule],
    egress: [rule],
  };
}

function withRole(role: string): Peer {
  return { kind: 'pods', podSelector: { requirements: [{ key: 'role', operator: 'In', values: [role] }] } };
}

/** Every other /24 from 20.0.0.0 on, so that the look-up of one beside a block goes as deep as one of the block. */
function blockAddress(index: number, host: number, family: 4 | 6): Address {
  const number = 20 * 2 ** 24 + index * 512 + host;
  if (family === 6) return `2001:db8::${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}` as Address;
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.') as Address;
}
