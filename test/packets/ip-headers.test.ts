/** IP headers with everything in them that can stand between a parser and the ports, and headers that lie or are cut. */
import { extension, fragmentHeader, type Ipv4Header, type Ipv6Header, PROTOCOL, tcp } from '../bpf/support/frames.ts';
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
import { ETHERTYPES, frameOf, ipFrameOf, packetOf } from './support/wire.ts';

const MALFORMED = unread('drop-malformed');
/** What names no readable source is nobody's own; nor is what may change its destination on the way. */
const UNREADABLE = everywhere('from-pod drop-malformed');
/** An admitted port, then one that is not: what stands before them neither hides nor changes them. */
const JUDGED = underPolicy(ARRIVED, POLICY);

type Fields4 = Partial<Ipv4Header>;

function syns(crossed: Crossed, ...ports: readonly number[]): Buffer[] {
  return ports.map((port) => tcp(crossed.number, port, 'S'));
}

function v4(name: string, fields: Fields4 | ((crossed: Crossed) => Fields4), expected: Expected): Row {
  return {
    name: `IPv4 ${name}`,
    family: 4,
    frames: (crossed) => {
      const header = typeof fields === 'function' ? fields(crossed) : fields;
      const ports = expected.none.length === 1 ? [ADMITTED.tcp] : [ADMITTED.tcp, DENIED];
      return syns(crossed, ...ports).map((payload) => {
        return ipFrameOf(crossed, { family: 4, protocol: PROTOCOL.tcp, payload, v4: header });
      });
    },
    expected,
    kernelRefuses: true,
  };
}

/** An option of this type with its length, filled up with zeroes. */
function option(type: number, length: number): number[] {
  return [type, length, ...Array.from({ length: Math.max(0, length - 2) }, () => 0)];
}

const options: Row[] = [
  v4('with a record of the route', { options: [7, 11, 4, ...Array<number>(8).fill(0)] }, JUDGED),
  v4('with a router alert', { options: option(148, 4) }, JUDGED),
  v4('with a timestamp', { options: [68, 12, 5, 0, ...Array<number>(8).fill(0)] }, JUDGED),
  v4('with a security label', { options: option(134, 10) }, JUDGED),
  v4('with an unknown option', { options: option(0x9e, 4) }, JUDGED),
  v4('with padding alone', { options: Array<number>(40).fill(1) }, JUDGED),
  v4('with 40 bytes of options', { options: [1, ...option(7, 39)] }, JUDGED),
  v4('with an end of options and rubbish behind it', { options: [0, 131, 7, 4, 10, 68, 10, 5] }, JUDGED),
  v4('with a loose source route', { options: [131, 7, 4, 10, 68, 10, 5] }, UNREADABLE),
  v4('with a strict source route', { options: [137, 7, 4, 10, 68, 10, 5] }, UNREADABLE),
  v4('with a source route behind padding', { options: [1, 1, 1, 1, 131, 7, 4, 10, 68, 10, 5] }, UNREADABLE),
  v4(
    'with a source route behind another option',
    { options: [...option(148, 4), 137, 7, 4, 10, 68, 10, 5] },
    UNREADABLE,
  ),
  v4('with an option of length 0', { options: [7, 0, 4, 0] }, UNREADABLE),
  v4('with an option of length 1', { options: [7, 1, 4, 0] }, UNREADABLE),
  v4('with an option longer than the header', { options: [7, 9, 4, 0] }, UNREADABLE),
  v4("with an option's type as its last byte", { options: [1, 1, 1, 7] }, UNREADABLE),
];

const lies: Row[] = [
  ...[0, 1, 5, 6, 15].map((version) => v4(`of version ${version}`, { version }, UNREADABLE)),
  ...[0, 1, 4].map((headerLength) => v4(`with a header of ${headerLength} words`, { headerLength }, UNREADABLE)),
  v4('with a header longer than the packet', { headerLength: 15 }, UNREADABLE),
  v4('with a total of no bytes', { totalLength: 0 }, UNREADABLE),
  v4('with a total shorter than the header', { totalLength: 19 }, UNREADABLE),
  v4('with a total of one byte more than there are', { totalLength: 41 }, UNREADABLE),
  v4('with a total of 65535', { totalLength: 65535 }, UNREADABLE),
  ...[20, 22, 24, 34, 39].map((totalLength) =>
    v4(`with a total of ${totalLength}, that cuts TCP's header`, { totalLength }, MALFORMED),
  ),
];

/** Never part of it. The kernel's checks of bridged packets cut it off. */
const padded: Row = {
  name: 'bytes behind the packet',
  frames: (crossed) =>
    [ADMITTED.tcp, DENIED].map((port) => {
      return Buffer.concat([syn(crossed, port), tcp(crossed.number, ADMITTED.tcp, 'S')]);
    }),
  expected: JUDGED,
  kernelRefuses: true,
};

function syn(crossed: Crossed, port: number, fields: { v4?: Fields4; v6?: Partial<Ipv6Header> } = {}): Buffer {
  return ipFrameOf(crossed, {
    family: crossed.family,
    protocol: PROTOCOL.tcp,
    payload: tcp(crossed.number, port, 'S'),
    ...fields,
  });
}

const wrongSum: Row = {
  name: 'a wrong header checksum',
  family: 4,
  frames: (crossed) =>
    [ADMITTED.tcp, DENIED].map((port) => {
      const frame = syn(crossed, port);
      frame.writeUInt16BE(frame.readUInt16BE(24) ^ 1, 24);
      return frame;
    }),
  expected: JUDGED,
  kernelRefuses: true,
};

/** Every length from nothing behind Ethernet on; the IP header says so, or what it said before. */
function cut(family: Family, adjusted: boolean): Row[] {
  const header = family === 4 ? 20 : 40;
  const cutTo = (length: number) => (crossed: Crossed) => {
    const frame = Buffer.from(syn(crossed, ADMITTED.tcp).subarray(0, 14 + length));
    if (adjusted && family === 4 && length >= 4) frame.writeUInt16BE(length, 16);
    if (adjusted && family === 6 && length >= 6) frame.writeUInt16BE(Math.max(0, length - header), 18);
    return frame;
  };
  const row = (from: number, to: number, expected: Expected): Row => {
    const lengths = Array.from({ length: to - from }, (_, index) => from + index);
    const named = `IPv${family} cut to ${from} to ${to - 1} bytes${adjusted ? '' : ', the header unchanged'}`;
    return {
      name: named,
      family,
      frames: (crossed) => lengths.map((length) => cutTo(length)(crossed)),
      expected: repeated(expected, lengths.length),
      kernelRefuses: true,
    };
  };
  return [row(0, header, UNREADABLE), row(header, header + 20, family === 4 && !adjusted ? UNREADABLE : MALFORMED)];
}

function repeated({ both, sender, receiver, none }: Expected, times: number): Expected {
  const repeat = ([outcome]: readonly string[]) => Array<string>(times).fill(outcome as string);
  return { both: repeat(both), sender: repeat(sender), receiver: repeat(receiver), none: repeat(none) };
}

type Chain = (crossed: Crossed, transport: Buffer) => readonly [next: number, payload: Buffer];

function v6(name: string, chain: Chain, expected: Expected, fields: Partial<Ipv6Header> = {}): Row {
  return {
    name: `IPv6 ${name}`,
    family: 6,
    frames: (crossed) => {
      const ports = expected.none.length === 1 ? [ADMITTED.tcp] : [ADMITTED.tcp, DENIED];
      return syns(crossed, ...ports).map((transport) => {
        const [protocol, payload] = chain(crossed, transport);
        return ipFrameOf(crossed, { family: 6, protocol, payload, v6: fields });
      });
    },
    expected,
    kernelRefuses: true,
  };
}

/** Headers one after the other, then TCP. */
function chain(...headers: readonly (readonly [protocol: number, build: (next: number) => Buffer])[]): Chain {
  return (_, transport) => {
    const protocols = [...headers.map(([protocol]) => protocol), PROTOCOL.tcp];
    const parts = headers.map(([, build], index) => build(protocols[index + 1] as number));
    return [protocols[0] as number, Buffer.concat([...parts, transport])];
  };
}

const HOP_BY_HOP = [PROTOCOL.hopByHop, extension] as const;
const DESTINATION = [PROTOCOL.destinationOptions, extension] as const;
const routing = (routingType: number, segmentsLeft: number, units = 0) =>
  [PROTOCOL.routing, (next: number) => extension(next, { units, routingType, segmentsLeft })] as const;
const ATOMIC = [PROTOCOL.fragment, (next: number) => fragmentHeader(next, 0, false, 1)] as const;
const many = (count: number) => Array.from({ length: count }, () => DESTINATION);

const extensions: Row[] = [
  v6('with hop-by-hop options', chain(HOP_BY_HOP), JUDGED),
  v6('with destination options', chain(DESTINATION), JUDGED),
  v6(
    'with long destination options',
    chain([PROTOCOL.destinationOptions, (next) => extension(next, { units: 255 })]),
    JUDGED,
  ),
  v6('with a routing header that is done', chain(routing(0, 0)), JUDGED),
  v6('as an atomic fragment', chain(ATOMIC), JUDGED),
  v6('with each of them', chain(HOP_BY_HOP, DESTINATION, routing(2, 0, 2), ATOMIC, DESTINATION), JUDGED),
  v6('with 8 extension headers', chain(HOP_BY_HOP, ...many(7)), JUDGED),
  v6('with 9 extension headers', chain(HOP_BY_HOP, ...many(8)), MALFORMED),
  v6('with 100 extension headers', chain(...many(100)), MALFORMED),
  v6('with hop-by-hop options that are not first', chain(DESTINATION, HOP_BY_HOP), MALFORMED),
  v6('with two fragment headers, both atomic', chain(ATOMIC, ATOMIC), JUDGED),
  ...[0, 2, 3, 4, 253].map((type) =>
    v6(`with a routing header of type ${type} and a segment left`, chain(routing(type, 1, 2)), MALFORMED),
  ),
  v6(
    'with an extension header longer than the packet',
    chain([PROTOCOL.destinationOptions, (next) => Buffer.from([next, 9, 1, 4, 0, 0, 0, 0])]),
    MALFORMED,
  ),
  v6(
    'that ends inside of an extension header',
    (_, transport) => [
      PROTOCOL.destinationOptions,
      Buffer.concat([Buffer.from([PROTOCOL.tcp, 0, 1, 2]), transport.subarray(0, 3)]),
    ],
    MALFORMED,
  ),
  v6('that ends behind an extension header', () => [PROTOCOL.destinationOptions, extension(PROTOCOL.tcp)], MALFORMED),
  v6('with a length of no bytes', chain(), MALFORMED, { payloadLength: 0 }),
  v6(
    'with a jumbo option and no length',
    chain([PROTOCOL.hopByHop, (next) => Buffer.from([next, 0, 0xc2, 4, 0, 0, 0, 28])]),
    MALFORMED,
    { payloadLength: 0 },
  ),
  v6("with a length that cuts TCP's header", chain(), MALFORMED, { payloadLength: 19 }),
  v6('with a length of one byte more than there are', chain(), MALFORMED, { payloadLength: 21 }),
  v6('with a length of 65535', chain(), MALFORMED, { payloadLength: 65535 }),
  ...[0, 4, 5, 7, 15].map((version) => v6(`of version ${version}`, chain(), UNREADABLE, { version })),
];

/** Whatever else IP carries, with an admitted connection inside. */
const OTHERS: readonly (readonly [name: string, protocol: number, families: readonly Family[]])[] = [
  ['IGMP', 2, FAMILIES],
  ['IPv4 in it', 4, FAMILIES],
  ['IPv6 in it', 41, FAMILIES],
  ['GRE', 47, FAMILIES],
  ['ESP', 50, FAMILIES],
  ['AH', 51, FAMILIES],
  ['EIGRP', 88, FAMILIES],
  ['OSPF', 89, FAMILIES],
  ['VRRP', 112, FAMILIES],
  ['L2TP', 115, FAMILIES],
  ['DCCP', 33, FAMILIES],
  ['UDP-Lite', 136, FAMILIES],
  ['mobility headers', 135, FAMILIES],
  ['an experiment', 253, FAMILIES],
  ['the reserved protocol', 255, FAMILIES],
  ['no next header', 59, FAMILIES],
  ["IPv6's ICMP", 58, [4]],
  ["IPv4's ICMP", 1, [6]],
  ["IPv6's hop-by-hop options", 0, [4]],
  ["IPv6's fragment header", 44, [4]],
];

function others(expected: Expected): Row[] {
  return OTHERS.flatMap(([name, protocol, families]) =>
    families.flatMap((family) => [
      {
        name: `${name} by IPv${family}`,
        family,
        frames: (crossed: Crossed) => {
          const inner = packetOf(crossed, {
            family: protocol === 41 ? 6 : 4,
            protocol: PROTOCOL.tcp,
            payload: tcp(crossed.number, ADMITTED.tcp, 'S'),
          });
          return [ipFrameOf(crossed, { family, protocol, payload: inner })];
        },
        expected,
        kernelRefuses: true as const,
      },
      {
        name: `${name} without a byte by IPv${family}`,
        family,
        frames: (crossed: Crossed) => [
          frameOf(crossed, ETHERTYPES[family], packetOf(crossed, { family, protocol, payload: Buffer.alloc(0) })),
        ],
        expected,
        kernelRefuses: true as const,
      },
    ]),
  );
}

crossings('IP headers', [
  ...options,
  ...lies,
  padded,
  wrongSum,
  ...cut(4, true),
  ...cut(4, false),
  ...cut(6, true),
  ...cut(6, false),
  ...extensions,
]);
crossings('other protocols, where policy names ports', others(underPolicy(POLICY)));
crossings('other protocols, where policy names none', others(everywhere(ARRIVED)), 'every protocol');
