/** Datagrams in pieces: whole or tiny first fragments, every order, overlaps, and headers that hide in later pieces. */
import { extension, fragmentHeader, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { ADMITTED, DENIED, FAMILIES, type Family } from './support/cast.ts';
import {
  ARRIVED,
  type Crossed,
  crossings,
  type Expected,
  everywhere,
  POLICY,
  type Row,
  underPolicy,
  unread,
} from './support/crossings.ts';
import { ipFrameOf } from './support/wire.ts';

const UNKNOWN = 'to-pod drop-fragment';

interface Piece {
  readonly protocol?: number;
  readonly offset: number;
  readonly more: boolean;
  readonly bytes: Uint8Array;
  readonly id?: number;
  readonly destination?: string;
}

function pieceOf(crossed: Crossed, { protocol = PROTOCOL.udp, offset, more, bytes, id, destination }: Piece): Buffer {
  const { family, number } = crossed;
  const identifier = id ?? number;
  const ends = destination === undefined ? {} : { destination };
  if (family === 4) {
    const v4 = { id: identifier, moreFragments: more, fragmentOffset: offset };
    return ipFrameOf(crossed, { family, protocol, payload: bytes, v4, ...ends });
  }
  const payload = Buffer.concat([fragmentHeader(protocol, offset, more, identifier), bytes]);
  return ipFrameOf(crossed, { family, protocol: PROTOCOL.fragment, payload, ...ends });
}

function row(name: string, pieces: (crossed: Crossed) => readonly Piece[], expected: Expected, family?: Family): Row {
  const frames = (crossed: Crossed) => pieces(crossed).map((piece) => pieceOf(crossed, piece));
  return { name, frames, expected, ...(family && { family }), kernelRefuses: true };
}

const first = (crossed: Crossed, port: number): Piece => ({
  offset: 0,
  more: true,
  bytes: udp(crossed.number, port, 24),
});
const LATER: Piece = { offset: 32, more: true, bytes: Buffer.alloc(32, 1) };
const LAST: Piece = { offset: 64, more: false, bytes: Buffer.alloc(8, 2) };

const orders: Row[] = [
  row(
    'of an admitted datagram',
    (at) => [first(at, ADMITTED.udp), LATER, LAST],
    underPolicy(ARRIVED, ARRIVED, ARRIVED),
  ),
  row('of one that is not', (at) => [first(at, DENIED), LATER, LAST], underPolicy(POLICY, POLICY, POLICY)),
  row('without a first one', () => [LATER, LAST], underPolicy(UNKNOWN, UNKNOWN)),
  ...permutations([0, 1, 2, 3]).map(ordered),
  row(
    'sent twice',
    (at) => [first(at, ADMITTED.udp), LATER, LATER, first(at, ADMITTED.udp), LAST, LAST],
    underPolicy(...Array<string>(6).fill(ARRIVED)),
  ),
  row(
    'with a second first one for another port',
    (at) => [first(at, ADMITTED.udp), first(at, DENIED), LATER, first(at, ADMITTED.udp), LAST],
    underPolicy(ARRIVED, POLICY, POLICY, ARRIVED, ARRIVED),
  ),
  row(
    'of another identifier',
    (at) => [first(at, ADMITTED.udp), { ...LATER, id: at.number ^ 0x4000 }],
    underPolicy(ARRIVED, UNKNOWN),
  ),
  row(
    'of another protocol',
    (at) => [first(at, ADMITTED.udp), { ...LATER, protocol: PROTOCOL.tcp }],
    underPolicy(ARRIVED, UNKNOWN),
  ),
  row(
    'of a protocol without ports, where ports are asked for',
    (at) => [first(at, ADMITTED.udp), { ...LATER, protocol: 253 }],
    underPolicy(ARRIVED, POLICY),
  ),
  row(
    'the last one beyond the longest datagram',
    (at) => [first(at, ADMITTED.udp), { ...LAST, offset: 65528, bytes: Buffer.alloc(64) }],
    underPolicy(ARRIVED, ARRIVED),
  ),
];

/** Four pieces: those before the first one come too early. */
function ordered(order: readonly number[]): Row {
  const outcomes = order.map((_, place) => (order.indexOf(0) <= place ? ARRIVED : UNKNOWN));
  const piece = (at: Crossed, index: number): Piece => {
    if (index === 0) return first(at, ADMITTED.udp);
    return { offset: 32 * index, more: index < 3, bytes: Buffer.alloc(32, index) };
  };
  return row(
    `in the order ${order.join(', ')}`,
    (at) => order.map((index) => piece(at, index)),
    underPolicy(...outcomes),
  );
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

const MALFORMED = unread('drop-malformed');

function after(expected: Expected, ...before: readonly string[]): Expected {
  const { both, sender, receiver, none } = expected;
  const arrived = before.map(() => ARRIVED);
  return {
    both: [...before, ...both],
    sender: [...before, ...sender],
    receiver: [...before, ...receiver],
    none: [...arrived, ...none],
  };
}

const syn = (at: Crossed, port: number): Buffer => tcp(at.number, port, 'S');
const tcpFirst = (bytes: Uint8Array): Piece => ({ protocol: PROTOCOL.tcp, offset: 0, more: true, bytes });

const hidden: Row[] = [
  ...[8, 16].map((length) =>
    row(
      `the first one with ${length} bytes of TCP`,
      (at) => [tcpFirst(syn(at, ADMITTED.tcp).subarray(0, length))],
      MALFORMED,
    ),
  ),
  row('the first one with nothing', () => [tcpFirst(Buffer.alloc(0))], MALFORMED),
  row('the first one of UDP with nothing', () => [{ offset: 0, more: true, bytes: Buffer.alloc(0) }], MALFORMED),
  row(
    'the flags of TCP in the second one',
    (at) => [
      tcpFirst(syn(at, ADMITTED.tcp).subarray(0, 8)),
      { protocol: PROTOCOL.tcp, offset: 8, more: false, bytes: syn(at, ADMITTED.tcp).subarray(8) },
    ],
    {
      ...underPolicy('', ''),
      both: Array(2).fill('from-pod drop-malformed'),
      sender: Array(2).fill('from-pod drop-malformed'),
      receiver: Array(2).fill('to-pod drop-malformed'),
    },
  ),
  ...[8, 16].map((offset) =>
    row(
      `an overlap of TCP's header at ${offset}`,
      (at) => [
        tcpFirst(Buffer.concat([syn(at, ADMITTED.tcp), Buffer.alloc(12)])),
        { protocol: PROTOCOL.tcp, offset, more: false, bytes: Buffer.alloc(16, 0xff) },
      ],
      after(MALFORMED, ARRIVED),
    ),
  ),
  row(
    'an overlap behind the header',
    (at) => [
      tcpFirst(Buffer.concat([syn(at, ADMITTED.tcp), Buffer.alloc(12)])),
      { protocol: PROTOCOL.tcp, offset: 24, more: false, bytes: Buffer.alloc(16, 0xff) },
    ],
    underPolicy(ARRIVED, ARRIVED),
  ),
  row(
    'a header of TCP for another port in the second place',
    (at) => [
      tcpFirst(Buffer.concat([syn(at, ADMITTED.tcp), Buffer.alloc(12)])),
      { protocol: PROTOCOL.tcp, offset: 32, more: false, bytes: syn(at, DENIED) },
    ],
    underPolicy(ARRIVED, ARRIVED),
  ),
];

/** IPv6 alone: what may stand before and behind a fragment header. */
function v6(
  name: string,
  frames: (crossed: Crossed) => readonly (readonly [number, Uint8Array])[],
  expected: Expected,
): Row {
  return {
    name,
    family: 6,
    frames: (crossed) =>
      frames(crossed).map(([protocol, payload]) => ipFrameOf(crossed, { family: 6, protocol, payload })),
    expected,
    kernelRefuses: true,
  };
}

const F = PROTOCOL.fragment;
const D = PROTOCOL.destinationOptions;
const header = (at: Crossed, next: number, offset: number, more: boolean) =>
  fragmentHeader(next, offset, more, at.number);
const six: Row[] = [
  v6(
    'behind destination options',
    (at) => [
      [D, Buffer.concat([extension(F), header(at, PROTOCOL.udp, 0, true), udp(at.number, ADMITTED.udp, 24)])],
      [D, Buffer.concat([extension(F), header(at, PROTOCOL.udp, 32, false), Buffer.alloc(32)])],
      [F, Buffer.concat([header(at, PROTOCOL.udp, 32, false), Buffer.alloc(32)])],
    ],
    underPolicy(ARRIVED, ARRIVED, ARRIVED),
  ),
  v6(
    'with destination options in the first one',
    (at) => [
      [F, Buffer.concat([header(at, D, 0, true), extension(PROTOCOL.udp), udp(at.number, ADMITTED.udp, 24)])],
      [F, Buffer.concat([header(at, D, 40, false), Buffer.alloc(32)])],
    ],
    underPolicy(ARRIVED, ARRIVED),
  ),
  v6(
    'with destination options in the first one and a port that is not admitted',
    (at) => [
      [F, Buffer.concat([header(at, D, 0, true), extension(PROTOCOL.udp), udp(at.number, DENIED, 24)])],
      [F, Buffer.concat([header(at, D, 40, false), Buffer.alloc(32)])],
    ],
    underPolicy(POLICY, POLICY),
  ),
  v6(
    'with destination options in the first one, which was not seen',
    (at) => [[F, Buffer.concat([header(at, D, 40, false), Buffer.alloc(32)])]],
    underPolicy(UNKNOWN),
  ),
  v6(
    'whose header chain goes on in the second one',
    (at) => [[F, Buffer.concat([header(at, D, 0, true), extension(PROTOCOL.udp, { units: 1 }).subarray(0, 8)])]],
    MALFORMED,
  ),
  v6(
    'within fragments',
    (at) => [
      [F, Buffer.concat([header(at, F, 0, true), header(at, PROTOCOL.udp, 0, true), udp(at.number, ADMITTED.udp, 24)])],
    ],
    MALFORMED,
  ),
  v6(
    'within an atomic fragment',
    (at) => [
      [
        F,
        Buffer.concat([header(at, F, 0, false), header(at, PROTOCOL.udp, 0, true), udp(at.number, ADMITTED.udp, 24)]),
      ],
      [F, Buffer.concat([header(at, PROTOCOL.udp, 32, false), Buffer.alloc(32)])],
    ],
    underPolicy(ARRIVED, ARRIVED),
  ),
  v6('cut inside of the fragment header', (at) => [[F, header(at, PROTOCOL.udp, 32, false).subarray(0, 7)]], MALFORMED),
];

const others: Row[] = FAMILIES.flatMap((family) => [
  row(
    `of an echo request by IPv${family}`,
    (at) => {
      const protocol = family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
      const bytes = Buffer.alloc(32);
      bytes[0] = family === 4 ? 8 : 128;
      bytes.writeUInt16BE(at.number, 4);
      return [
        { protocol, offset: 0, more: true, bytes },
        { ...LATER, protocol },
      ];
    },
    underPolicy(POLICY, POLICY),
    family,
  ),
  row(
    `of ESP by IPv${family}`,
    () => [
      { ...LATER, protocol: 50, offset: 0 },
      { ...LATER, protocol: 50 },
    ],
    underPolicy(POLICY, POLICY),
    family,
  ),
]);

crossings('fragments', [...orders, ...hidden, ...six, ...others]);
crossings(
  'fragments where policy names no ports',
  [
    row('without a first one', () => [LATER, LAST], everywhere(ARRIVED, ARRIVED)),
    row('of another protocol', () => [{ ...LATER, protocol: 253 }], everywhere(ARRIVED)),
  ],
  'every protocol',
);
