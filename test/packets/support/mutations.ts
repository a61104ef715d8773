/** Frames for the fuzz test: a corpus of right ones of every kind, and random changes of them that shrink. */
import fc from 'fast-check';
import { address, echo, extension, fragmentHeader, icmp, PROTOCOL, sctp, tcp, udp } from '../../bpf/support/frames.ts';
import { ADMITTED, DENIED, FAMILIES, type Family, NODE, PODS } from './cast.ts';
import { arpFrame, type Ends, frameOf, ipFrameOf, packetOf } from './wire.ts';

const ENDS: Ends = { from: PODS.guarded, to: PODS.ward };
const BACK: Ends = { from: PODS.ward, to: PODS.guarded };
const SOURCE = 5_000;
const ID = 77;

function ofFamily(family: Family): Buffer[] {
  const ip = (protocol: number, payload: Uint8Array, more = {}) =>
    ipFrameOf(ENDS, { family, protocol, payload, ...more });
  const [echoRequest, echoReply, error] = family === 4 ? [8, 0, 3] : [128, 129, 1];
  const icmpProtocol = family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  const answer = (protocol: number, payload: Uint8Array) => packetOf(BACK, { family, protocol, payload });
  const piece = (offset: number, more: boolean, protocol: number, payload: Uint8Array) =>
    family === 4
      ? ip(protocol, payload, { v4: { id: ID, fragmentOffset: offset, moreFragments: more } })
      : ip(PROTOCOL.fragment, Buffer.concat([fragmentHeader(protocol, offset, more, ID), payload]));
  return [
    ...['S', 'SA', 'A', 'FA', 'R', ''].map((flags) => ip(PROTOCOL.tcp, tcp(SOURCE, ADMITTED.tcp, flags))),
    ip(PROTOCOL.tcp, tcp(SOURCE, DENIED, 'S')),
    ip(PROTOCOL.udp, udp(SOURCE, ADMITTED.udp)),
    ip(PROTOCOL.sctp, sctp(SOURCE, ADMITTED.sctp, 1)),
    ip(icmpProtocol, echo(echoRequest, SOURCE)),
    ip(icmpProtocol, echo(echoReply, SOURCE)),
    ip(icmpProtocol, icmp(error, 4, 1400, answer(PROTOCOL.tcp, tcp(ADMITTED.tcp, SOURCE, 'SA')))),
    ip(icmpProtocol, icmp(error, 4, 1400, answer(PROTOCOL.udp, udp(ADMITTED.udp, SOURCE)))),
    ip(icmpProtocol, icmp(error, 4, 1400, answer(icmpProtocol, echo(echoReply, SOURCE)))),
    piece(0, true, PROTOCOL.tcp, Buffer.concat([tcp(SOURCE, ADMITTED.tcp, 'S'), Buffer.alloc(12)])),
    piece(0, true, PROTOCOL.tcp, Buffer.concat([tcp(SOURCE, DENIED, 'S'), Buffer.alloc(12)])),
    piece(0, true, PROTOCOL.udp, udp(SOURCE, ADMITTED.udp, 24)),
    piece(32, true, PROTOCOL.tcp, Buffer.alloc(32)),
    piece(64, false, PROTOCOL.udp, Buffer.alloc(8)),
    ...[2, 4, 41, 47, 50, 51, 59, 136, 255].map((protocol) => ip(protocol, Buffer.alloc(24, 0x45))),
  ];
}

function chain(...protocols: readonly number[]): Buffer {
  const headers = protocols.map((protocol, index) => {
    const next = protocols[index + 1] ?? PROTOCOL.tcp;
    return protocol === PROTOCOL.fragment ? fragmentHeader(next, 0, false, ID) : extension(next);
  });
  const payload = Buffer.concat([...headers, tcp(SOURCE, ADMITTED.tcp, 'S')]);
  return ipFrameOf(ENDS, { family: 6, protocol: protocols[0] as number, payload });
}

function options(...bytes: readonly number[]): Buffer {
  const payload = tcp(SOURCE, ADMITTED.tcp, 'S');
  return ipFrameOf(ENDS, { family: 4, protocol: PROTOCOL.tcp, payload, v4: { options: bytes } });
}

function neighbour(type: number, target: Uint8Array, hopLimit = 255): Buffer {
  const payload = icmp(type, 0, 0, Buffer.concat([target, Buffer.from(`0201${ENDS.from.mac}`, 'hex')]));
  return ipFrameOf(ENDS, { family: 6, protocol: PROTOCOL.icmpv6, payload, v6: { hopLimit } });
}

const OWN6 = Buffer.from(address(ENDS.from.addresses[6]));
const { hopByHop, routing, fragment, destinationOptions } = PROTOCOL;

/** Each is one that the packet path knows something of. */
export const CORPUS: readonly Buffer[] = [
  ...FAMILIES.flatMap(ofFamily),
  options(7, 7, 4, 0, 0, 0, 0),
  options(1, 1, 148, 4, 0, 0),
  options(131, 7, 4, 10, 68, 10, 5),
  chain(hopByHop),
  chain(destinationOptions, routing),
  chain(hopByHop, destinationOptions, routing, fragment, destinationOptions),
  chain(...Array<number>(8).fill(destinationOptions)),
  chain(...Array<number>(9).fill(destinationOptions)),
  chain(destinationOptions, hopByHop),
  chain(fragment, fragment),
  neighbour(135, OWN6),
  neighbour(136, OWN6),
  neighbour(134, Buffer.alloc(16)),
  neighbour(137, OWN6),
  neighbour(143, Buffer.alloc(16), 1),
  arpFrame({ ...ENDS, sender: ENDS.from.addresses[4], target: ENDS.to.addresses[4] }),
  arpFrame({ ...ENDS, sender: NODE.addresses[4], target: ENDS.to.addresses[4], operation: 2 }),
  frameOf(ENDS, 0x88cc, Buffer.alloc(60)),
  frameOf(ENDS, 0x0800, Buffer.alloc(60), [[0x8100, 5]]),
];

/** The least that a test-run takes: an Ethernet and an IP header. */
export const LEAST = { 4: 34, 6: 54 } as const;

type Change = (frame: Buffer) => Buffer;

/** Behind the hardware addresses: those are the bridge's business. */
const place = fc.integer({ min: 12, max: 140 });
const value = fc.oneof(
  fc.constantFrom(0, 1, 6, 17, 44, 58, 60, 132, 255, 0x45, 0x46, 0x60),
  fc.integer({ min: 0, max: 255 }),
);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(place, value).map(
    ([at, byte]): Change =>
      (frame) => {
        if (at < frame.length) frame[at] = byte;
        return frame;
      },
  ),
  fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(
    ([at, bit]): Change =>
      (frame) => {
        if (at < frame.length) frame[at] = (frame[at] as number) ^ (1 << bit);
        return frame;
      },
  ),
  fc.nat(140).map(
    (length): Change =>
      (frame) =>
        Buffer.from(frame.subarray(0, length)),
  ),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 40 })).map(
    ([at, bytes]): Change =>
      (frame) => {
        return Buffer.concat([frame.subarray(0, at), bytes, frame.subarray(at)]);
      },
  ),
  fc.tuple(place, fc.integer({ min: 1, max: 24 })).map(
    ([at, count]): Change =>
      (frame) => {
        return Buffer.concat([frame.subarray(0, at), frame.subarray(at + count)]);
      },
  ),
  // The end of another one, so that headers stand where they are not expected.
  fc.tuple(place, fc.constantFrom(...CORPUS), place).map(
    ([at, other, from]): Change =>
      (frame) => {
        return Buffer.concat([frame.subarray(0, at), other.subarray(from)]);
      },
  ),
  // A packet that ends before the frame does, inside of a header now and then.
  fc.nat(70).map(
    (length): Change =>
      (frame) =>
        withLength(frame, length),
  ),
  // Lengths put right again, or readers would not come to what lies behind them.
  fc.constant<Change>((frame) => withLength(frame)),
);

function withLength(frame: Buffer, length = frame.length - 14): Buffer {
  if (frame.length < 20) return frame;
  if (frame.readUInt16BE(12) === 0x0800) frame.writeUInt16BE(length, 16);
  else if (frame.readUInt16BE(12) === 0x86dd) frame.writeUInt16BE(Math.max(0, length - 40), 18);
  return frame;
}

/** One of the corpus with some changes, long enough for a test-run. */
export const mutatedFrame: fc.Arbitrary<Buffer> = fc
  .tuple(fc.constantFrom(...CORPUS), fc.array(change, { maxLength: 4 }), fc.boolean())
  .map(([original, changes, repaired]): Buffer => {
    let frame: Buffer = Buffer.from(original);
    for (const one of changes) frame = one(frame);
    return lengthened(repaired ? withLength(frame) : frame);
  });

function lengthened(frame: Buffer): Buffer {
  const least = frame.length >= 14 && frame.readUInt16BE(12) === 0x86dd ? LEAST[6] : LEAST[4];
  return frame.length < least ? Buffer.concat([frame, Buffer.alloc(least - frame.length)]) : frame;
}

/** Nothing known in it but an EtherType, now and then. */
export const randomFrame: fc.Arbitrary<Buffer> = fc
  .tuple(fc.constantFrom(0x0800, 0x86dd, 0x0806, 0), fc.uint8Array({ minLength: 40, maxLength: 160 }), fc.boolean())
  .map(([type, bytes, versioned]) => {
    const frame = frameOf(ENDS, type, bytes);
    if (versioned && type === 0x0800) ENDS_OF[4].copy(frame, 26);
    if (versioned && type === 0x86dd) ENDS_OF[6].copy(frame, 22);
    if (versioned) frame[14] = type === 0x0800 ? 0x45 : 0x60;
    return versioned ? withLength(frame) : frame;
  });

/** Source and destination, as they stand in an IP header. */
const ENDS_OF = {
  4: packetOf(ENDS, { family: 4, protocol: 6, payload: Buffer.alloc(0) }).subarray(12, 20),
  6: packetOf(ENDS, { family: 6, protocol: 6, payload: Buffer.alloc(0) }).subarray(8, 40),
} as const;
