/** What a pod says about addresses on its link, by ARP and by neighbour discovery: only that its own are its own. */
import { address, extension, fragmentHeader, icmp, PROTOCOL } from '../bpf/support/frames.ts';
import { NODE, OUTSIDE, PODS } from './support/cast.ts';
import { ARRIVED, type Crossed, crossings, everywhere, POLICY, type Row, underPolicy } from './support/crossings.ts';
import { type ArpFields, arpFrame, ipFrameOf } from './support/wire.ts';

const HOP_LIMIT = 255;

type ArpOf = (crossed: Crossed) => Partial<ArpFields>;

function arp(name: string, fields: ArpOf, ...outcomes: readonly string[]): Row {
  const frames = (crossed: Crossed) => {
    const { from, to } = crossed;
    return [arpFrame({ from, to, sender: from.addresses[4], target: to.addresses[4], ...fields(crossed) })];
  };
  return { name, frames, family: 4, expected: everywhere(...outcomes) };
}

/** ARP from the own address, then changed. */
function arpBytes(name: string, change: (frame: Buffer) => Buffer, outcome: string): Row {
  const frames = ({ from, to }: Crossed) => {
    return [change(arpFrame({ from, to, sender: from.addresses[4], target: to.addresses[4] }))];
  };
  return { name, frames, family: 4, expected: everywhere(outcome), kernelRefuses: true };
}

function set(at: number, ...bytes: readonly number[]): (frame: Buffer) => Buffer {
  return (frame) => {
    frame.set(bytes, at);
    return frame;
  };
}

const ARP = 'from-pod drop-arp';
const arps: Row[] = [
  arp('ARP: a request of its own', () => ({}), ARRIVED),
  arp('ARP: a reply of its own', () => ({ operation: 2 }), ARRIVED),
  arp('ARP: its own address announced', ({ from }) => ({ target: from.addresses[4] }), ARRIVED),
  arp('ARP: a probe for an address that it will have', () => ({ sender: '0.0.0.0' }), ARRIVED),
  arp("ARP: a request with a neighbour's address", () => ({ sender: PODS.free.addresses[4] }), ARP),
  arp("ARP: a reply for the receiver's own address", ({ to }) => ({ sender: to.addresses[4], operation: 2 }), ARP),
  arp('ARP: a reply for the gateway', () => ({ sender: NODE.addresses[4], operation: 2 }), ARP),
  arp('ARP: a reply for an address outside', () => ({ sender: OUTSIDE[4], operation: 2 }), ARP),
  arp('ARP: the gateway announced', () => ({ sender: NODE.addresses[4], target: NODE.addresses[4] }), ARP),
  arp("ARP: its own address at a neighbour's hardware address", ({ to }) => ({ senderMac: to.mac }), ARP),
  arp("ARP: its own address at the gateway's hardware address", () => ({ senderMac: NODE.mac, operation: 2 }), ARP),
  arpBytes('ARP of another hardware', set(14, 0, 6), ARP),
  arpBytes('ARP for another protocol', set(16, 0x86, 0xdd), ARP),
  arpBytes('ARP with long hardware addresses', set(18, 8), ARP),
  arpBytes('ARP with long protocol addresses', set(19, 16), ARP),
  arpBytes('ARP cut short', (frame) => frame.subarray(0, 41), ARP),
  arpBytes('ARP without a body', (frame) => frame.subarray(0, 14), ARP),
  arpBytes('ARP with bytes behind it', (frame) => Buffer.concat([frame, Buffer.alloc(18)]), ARRIVED),
];

interface Neighbour {
  readonly type: number;
  readonly target?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly hopLimit?: number;
  /** Between the IP header and the message. */
  readonly before?: readonly [protocol: number, bytes: (next: number) => Buffer];
  readonly cut?: number;
}

const ALL_NODES = 'ff02::1';

/** Options behind the target: the sender's hardware address. */
function neighbourFrame(crossed: Crossed, { type, target, cut = 0, before, hopLimit = HOP_LIMIT, ...ends }: Neighbour) {
  const option = Buffer.from(`0201${crossed.from.mac}`, 'hex');
  const body = target === undefined ? Buffer.alloc(8) : Buffer.concat([address(target), option]);
  const message = icmp(type, 0, 0, body).subarray(0, 8 + body.length - cut);
  const payload = before === undefined ? message : Buffer.concat([before[1](PROTOCOL.icmpv6), message]);
  return ipFrameOf(crossed, {
    family: 6,
    protocol: before?.[0] ?? PROTOCOL.icmpv6,
    payload,
    v6: { hopLimit },
    ...ends,
  });
}

function neighbour(name: string, message: (crossed: Crossed) => Neighbour, expected: Row['expected']): Row {
  return { name, family: 6, frames: (crossed) => [neighbourFrame(crossed, message(crossed))], expected };
}

const NEIGHBOUR = everywhere('from-pod drop-neighbour');
const ROUTER = everywhere('from-pod drop-router');
const [RS, RA, NS, NA, REDIRECT] = [133, 134, 135, 136, 137] as const;
const neighbours: Row[] = [
  neighbour(
    'an advertisement of its own address',
    ({ from }) => ({ type: NA, target: from.addresses[6] }),
    everywhere(ARRIVED),
  ),
  neighbour(
    'an advertisement of its own link-local address',
    ({ from }) => ({ type: NA, target: from.linkLocal, source: from.linkLocal }),
    everywhere(ARRIVED),
  ),
  neighbour('a solicitation', ({ to }) => ({ type: NS, target: to.addresses[6] }), everywhere(ARRIVED)),
  neighbour(
    'duplicate address detection of its own',
    ({ from }) => ({ type: NS, target: from.addresses[6], source: '::' }),
    everywhere(ARRIVED),
  ),
  neighbour('a router solicitation', ({ from }) => ({ type: RS, source: from.linkLocal }), everywhere(ARRIVED)),
  neighbour(
    "an advertisement of a neighbour's address",
    ({ to }) => ({ type: NA, target: to.addresses[6] }),
    NEIGHBOUR,
  ),
  neighbour(
    "an advertisement of a neighbour's link-local address",
    ({ to }) => ({ type: NA, target: to.linkLocal }),
    NEIGHBOUR,
  ),
  neighbour('an advertisement of the gateway', () => ({ type: NA, target: NODE.addresses[6] }), NEIGHBOUR),
  neighbour(
    'an advertisement of the gateway to all',
    () => ({ type: NA, target: NODE.linkLocal, destination: ALL_NODES }),
    NEIGHBOUR,
  ),
  neighbour(
    'an advertisement from no address',
    ({ from }) => ({ type: NA, target: from.addresses[6], source: '::' }),
    NEIGHBOUR,
  ),
  neighbour(
    "an advertisement from a neighbour's address",
    ({ from, to }) => ({ type: NA, target: from.addresses[6], source: to.addresses[6] }),
    everywhere('from-pod drop-source'),
  ),
  neighbour(
    "duplicate address detection of a neighbour's",
    ({ to }) => ({ type: NS, target: to.addresses[6], source: '::' }),
    NEIGHBOUR,
  ),
  neighbour(
    "a solicitation from a neighbour's address",
    ({ to }) => ({ type: NS, target: to.addresses[6], source: NODE.addresses[6] }),
    everywhere('from-pod drop-source'),
  ),
  neighbour(
    'an advertisement cut short',
    ({ from }) => ({ type: NA, target: from.addresses[6], cut: 9 }),
    everywhere('from-pod drop-malformed'),
  ),
  neighbour(
    'a router advertisement',
    ({ from }) => ({ type: RA, source: from.linkLocal, destination: ALL_NODES }),
    ROUTER,
  ),
  neighbour('a router advertisement from its address', () => ({ type: RA }), ROUTER),
  neighbour('a router advertisement with forged source', () => ({ type: RA, source: NODE.linkLocal }), ROUTER),
  neighbour('a redirect', ({ from }) => ({ type: REDIRECT, target: OUTSIDE[6], source: from.linkLocal }), ROUTER),
  neighbour(
    "an advertisement of a neighbour's address, hop limit 254",
    ({ to }) => ({ type: NA, target: to.addresses[6], hopLimit: 254 }),
    underPolicy(POLICY),
  ),
  neighbour('a router advertisement, hop limit 254', () => ({ type: RA, hopLimit: 254 }), underPolicy(POLICY)),
  ...(
    [
      ['hop-by-hop options', PROTOCOL.hopByHop],
      ['destination options', PROTOCOL.destinationOptions],
      ['a routing header without segments left', PROTOCOL.routing],
    ] as const
  ).flatMap(([what, protocol]) => [
    neighbour(
      `an advertisement of a neighbour's address behind ${what}`,
      ({ to }) => ({ type: NA, target: to.addresses[6], before: [protocol, extension] }),
      NEIGHBOUR,
    ),
    neighbour(`a router advertisement behind ${what}`, () => ({ type: RA, before: [protocol, extension] }), ROUTER),
    neighbour(
      `a redirect behind ${what}`,
      ({ to }) => ({ type: REDIRECT, target: to.addresses[6], before: [protocol, extension] }),
      ROUTER,
    ),
    neighbour(
      `a solicitation of its own behind ${what}`,
      ({ to }) => ({ type: NS, target: to.addresses[6], before: [protocol, extension] }),
      underPolicy(POLICY),
    ),
  ]),
  neighbour(
    "an advertisement of a neighbour's address in a fragment",
    ({ to }) => ({
      type: NA,
      target: to.addresses[6],
      before: [PROTOCOL.fragment, (next) => fragmentHeader(next, 0, true, 7)],
    }),
    everywhere('from-pod drop-malformed'),
  ),
  neighbour(
    "an advertisement of a neighbour's address in an atomic fragment",
    ({ to }) => ({
      type: NA,
      target: to.addresses[6],
      before: [PROTOCOL.fragment, (next) => fragmentHeader(next, 0, false, 7)],
    }),
    NEIGHBOUR,
  ),
  neighbour(
    'a router advertisement in an atomic fragment',
    () => ({ type: RA, before: [PROTOCOL.fragment, (next) => fragmentHeader(next, 0, false, 7)] }),
    ROUTER,
  ),
  neighbour(
    'a listener report',
    ({ from }) => ({ type: 143, source: from.linkLocal, hopLimit: 1, destination: 'ff02::16' }),
    everywhere(ARRIVED),
  ),
  neighbour(
    "a listener query, which is a router's",
    ({ from }) => ({ type: 130, source: from.linkLocal, hopLimit: 1, destination: ALL_NODES }),
    underPolicy(POLICY),
  ),
  neighbour(
    'a listener report from a global address',
    () => ({ type: 143, hopLimit: 1, destination: 'ff02::16' }),
    underPolicy(POLICY),
  ),
  neighbour(
    "a listener report from a neighbour's link-local address",
    ({ to }) => ({ type: 143, source: to.linkLocal, hopLimit: 1, destination: 'ff02::16' }),
    everywhere('from-pod drop-source'),
  ),
  neighbour(
    'a listener report, hop limit 64',
    ({ from }) => ({ type: 143, source: from.linkLocal, hopLimit: 64 }),
    underPolicy(POLICY),
  ),
];

crossings('neighbours', [...arps, ...neighbours]);
