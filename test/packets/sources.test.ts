/** A pod sends from its own addresses only, whatever else the packet is and whether it is under policy or not. */
import { fragmentHeader, icmp, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { ADMITTED, DENIED, type Family, NODE, OUTSIDE, PODS, REMOTE, SERVICE } from './support/cast.ts';
import { ARRIVED, type Crossed, crossings, everywhere, POLICY, type Row, underPolicy } from './support/crossings.ts';
import { ipFrameOf, type Wrapped } from './support/wire.ts';

const FORGED = everywhere('from-pod drop-source');

function forged(whose: string, source: (crossed: Crossed) => string, family?: Family): Row {
  return {
    name: `TCP from ${whose}`,
    ...(family && { family }),
    frames: (crossed) => {
      const payload = tcp(crossed.number, ADMITTED.tcp, 'S');
      return [ipFrameOf(crossed, { family: crossed.family, protocol: PROTOCOL.tcp, payload, source: source(crossed) })];
    },
    expected: FORGED,
  };
}

const whose: Row[] = [
  forged("a neighbour's address", ({ family }) => PODS.free.addresses[family]),
  forged("the receiver's address", ({ to, family }) => to.addresses[family]),
  forged("the gateway's address", ({ family }) => NODE.addresses[family]),
  forged("the node's address", ({ family }) => NODE.own[family]),
  forged("a Service's address", ({ family }) => SERVICE[family]),
  forged("a remote pod's address", ({ family }) => REMOTE[family]),
  forged('an address outside', ({ family }) => OUTSIDE[family]),
  forged('no address', ({ family }) => (family === 4 ? '0.0.0.0' : '::')),
  forged('the loopback address', ({ family }) => (family === 4 ? '127.0.0.1' : '::1')),
  forged('a multicast address', ({ family }) => (family === 4 ? '224.0.0.1' : 'ff02::1')),
  forged('the broadcast address', () => '255.255.255.255', 4),
  forged('a link-local address that nobody gave it', ({ family }) => (family === 4 ? '169.254.1.1' : 'fe80::1:2')),
  forged("a neighbour's link-local address", ({ to }) => to.linkLocal, 6),
  forged('its own IPv4 address mapped into IPv6', ({ from }) => `::ffff:${from.addresses[4]}`, 6),
];

/** What claims to be from the receiver's own gateway, by protocol. */
function inside(name: string, wrapped: (crossed: Crossed) => Omit<Wrapped, 'family'>, expected = FORGED): Row {
  const frames = (crossed: Crossed) => {
    const { family } = crossed;
    return [ipFrameOf(crossed, { family, source: NODE.addresses[family], ...wrapped(crossed) })];
  };
  return { name: `${name} from the gateway's address`, frames, expected };
}

const kinds: Row[] = [
  inside('TCP in mid-stream', ({ number }) => ({ protocol: PROTOCOL.tcp, payload: tcp(number, ADMITTED.tcp, 'A') })),
  inside('UDP', ({ number }) => ({ protocol: PROTOCOL.udp, payload: udp(number, ADMITTED.udp) })),
  inside('IGMP', () => ({ protocol: PROTOCOL.igmp, payload: Buffer.alloc(8) })),
  inside('an unknown protocol', () => ({ protocol: 253, payload: Buffer.alloc(8) })),
  inside('ESP', () => ({ protocol: 50, payload: Buffer.alloc(24) })),
  inside('an echo reply', ({ family }) => {
    return { protocol: family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6, payload: icmp(family === 4 ? 0 : 129, 0) };
  }),
  inside('an ICMP error', ({ family }) => {
    const payload = icmp(family === 4 ? 3 : 1, 0, 0, Buffer.alloc(48));
    return { protocol: family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6, payload };
  }),
  inside('a redirect', ({ family }) => {
    const payload = icmp(family === 4 ? 5 : 137, 1, 0, Buffer.alloc(48));
    return { protocol: family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6, payload };
  }),
  inside('a later fragment', ({ family, number }) => {
    if (family === 4)
      return { protocol: PROTOCOL.udp, payload: Buffer.alloc(32), v4: { id: number, fragmentOffset: 64 } };
    const payload = Buffer.concat([fragmentHeader(PROTOCOL.udp, 64, false, number), Buffer.alloc(32)]);
    return { protocol: PROTOCOL.fragment, payload };
  }),
  {
    ...inside('a discovery of DHCP', () => {
      return { protocol: PROTOCOL.udp, payload: udp(68, 67, 64), source: '0.0.0.0', destination: '255.255.255.255' };
    }),
    family: 4,
  },
];

const linkLocal: Row = {
  name: 'its own link-local address is its own, and judged',
  family: 6,
  frames: (crossed) => [
    ...[ADMITTED.tcp, DENIED].map((port) => {
      const payload = tcp(crossed.number, port, 'S');
      return ipFrameOf(crossed, { family: 6, protocol: PROTOCOL.tcp, payload, source: crossed.from.linkLocal });
    }),
  ],
  expected: underPolicy(ARRIVED, POLICY),
};

crossings('source addresses', [...whose, ...kinds, linkLocal]);
