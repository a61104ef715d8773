/** The cast of the packet path's tests, and states of it: who is isolated, who may reach whom, on what ports. */
import { PROTOCOL } from './frames.ts';

export const ENDPOINTS = {
  web: { slot: 1, ipv4: '10.1.0.2', ipv6: 'fd01::2', linkLocal: 'fe80::2', identity: 11 },
  api: { slot: 2, ipv4: '10.1.0.3', ipv6: 'fd01::3', linkLocal: 'fe80::3', identity: 12 },
  db: { slot: 3, ipv4: '10.1.0.4', ipv6: 'fd01::4', linkLocal: 'fe80::4', identity: 13 },
} as const;
export type EndpointName = keyof typeof ENDPOINTS;

export const OWN_NODE = ['10.0.0.1', 'fd00::1'] as const;
/** A pod of another node, an address of nobody known, one inside of the block of `block`. */
export const REMOTE = { 4: '10.2.0.9', 6: 'fd02::9' } as const;
export const WORLD = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
export const BLOCK = { 4: '198.51.100.7', 6: '2001:db8:b10c::7' } as const;
/** A Service's address, which DNAT replaces. */
export const SERVICE = { 4: '10.96.0.10', 6: 'fd96::10' } as const;

export const IDENTITIES = { anyone: 0, web: 11, api: 12, db: 13, remote: 20, block: 30 } as const;
export type Peer = keyof typeof IDENTITIES;

export interface PortRange {
  readonly protocol: number;
  readonly from: number;
  readonly to: number;
  readonly rule: number;
  readonly verdict?: 'deny';
}

export interface State {
  /** Rulesets; absent or 0: not isolated. `absent`: the interface has no endpoint in this state. */
  readonly endpoints?: Readonly<
    Partial<Record<EndpointName, { readonly ingress?: number; readonly egress?: number; readonly absent?: true }>>
  >;
  readonly rows?: readonly { readonly ruleset: number; readonly peer: Peer; readonly ports: readonly PortRange[] }[];
  /** Besides the pods' and the node's own. */
  readonly addresses?: readonly { readonly text: string; readonly peer: Peer }[];
  readonly cidrs?: readonly { readonly prefix: string; readonly peer: Peer }[];
  readonly judgeOwnNode?: boolean;
  readonly pending?: 'OPEN' | 'CLOSED';
  readonly pendingOfNew?: 'OPEN' | 'CLOSED';
}

/** Every protocol and port. */
export function everything(rule = 1): PortRange[] {
  return [{ protocol: 0, from: 0, to: 0xffff, rule }];
}

export function port(protocol: 'tcp' | 'udp' | 'sctp', from: number, to = from, rule = from): PortRange {
  return { protocol: PROTOCOL[protocol], from, to, rule };
}

/** Names a ruleset for each isolated direction. */
export const RULESET = { webEgress: 1, webIngress: 2, apiEgress: 3, apiIngress: 4, dbIngress: 5 } as const;

/** `REMOTE` and `BLOCK` are known as what they are called. */
export const PLACES = {
  addresses: [
    { text: REMOTE[4], peer: 'remote' },
    { text: REMOTE[6], peer: 'remote' },
  ],
  cidrs: [
    { prefix: '198.51.100.0/24', peer: 'block' },
    { prefix: '2001:db8:b10c::/48', peer: 'block' },
  ],
} as const satisfies State;
