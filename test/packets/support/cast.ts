/** Who is on the bridge: two pods under policy and two under none, their node, and what the policy admits. */
import { policy } from '../../support/cases/case.ts';
import type { ClusterObject, NetworkPolicy, PolicyPort } from '../../support/oracle/objects.ts';

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

export interface Member {
  readonly name: string;
  /** Hexadecimal, without separators. */
  readonly mac: string;
  readonly addresses: Readonly<Record<Family, string>>;
  readonly linkLocal: string;
}

function member(name: string, number: number): Member {
  return {
    name,
    mac: `0a580a440a0${number}`,
    addresses: { 4: `10.68.10.${number}`, 6: `fd68::a:${number}` },
    // What the kernel makes of the hardware address.
    linkLocal: `fe80::858:aff:fe44:a0${number}`,
  };
}

export const NODE = {
  ...member('node1', 1),
  /** On its uplink, which here is only said to be. */
  own: { 4: '172.30.0.2', 6: 'fd00:172:30::2' },
} as const;

/** By name: `guarded` and `ward` are under policy in both directions, `open` and `free` under none. */
export const PODS = {
  guarded: member('guarded', 2),
  ward: member('ward', 3),
  open: member('open', 4),
  free: member('free', 5),
} as const;
export type PodName = keyof typeof PODS;
export const POD_NAMES = Object.keys(PODS) as PodName[];

/** Of nobody here. */
export const OUTSIDE = { 4: '203.0.113.9', 6: '2001:db8::9' } as const;
/** Of a pod on another node, and of a Service. */
export const REMOTE = { 4: '10.68.20.9', 6: 'fd68:2::9' } as const;
export const SERVICE = { 4: '10.96.0.10', 6: 'fd96::10' } as const;

/** What is admitted to and from the pods under policy, and a port that is not. */
export const ADMITTED = { tcp: 8080, udp: 8053, sctp: 8132 } as const;
export const DENIED = 22;

const PORTS: readonly PolicyPort[] = [
  { protocol: 'TCP', port: ADMITTED.tcp },
  { protocol: 'UDP', port: ADMITTED.udp },
  { protocol: 'SCTP', port: ADMITTED.sctp },
];

/** Both directions of the pods under policy: every peer, on these ports. */
export function guarding(ports: readonly PolicyPort[] | 'every protocol' | 'nothing' = PORTS): NetworkPolicy {
  const rules = ports === 'nothing' ? [] : [ports === 'every protocol' ? {} : { ports }];
  return policy('default/guarding', {
    podSelector: { matchLabels: { under: 'policy' } },
    policyTypes: ['Ingress', 'Egress'],
    egress: rules,
    ingress: rules,
  });
}

/** The node and the pods as the API server would have them. */
export function objects(): ClusterObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE.name },
      status: {
        addresses: [NODE.own[4], NODE.own[6], NODE.addresses[4], NODE.addresses[6]].map((address) => {
          return { type: 'InternalIP', address };
        }),
      },
    },
    ...POD_NAMES.map((name) => podObject(name)),
  ];
}

function podObject(name: PodName): ClusterObject {
  const under = name === 'guarded' || name === 'ward' ? 'policy' : 'none';
  const { addresses } = PODS[name];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { under, name } },
    spec: { nodeName: NODE.name, containers: [{ name: 'main' }] },
    status: { phase: 'Running', podIP: addresses[4], podIPs: [{ ip: addresses[4] }, { ip: addresses[6] }] },
  };
}
