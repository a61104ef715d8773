/** Transport headers that open, pretend to go on, or answer what nobody asked; and what each of them lets back. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CHUNK, echo, PROTOCOL, sctp, tcp, udp } from '../bpf/support/frames.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, DENIED, FAMILIES, type Family, guarding, PODS } from './support/cast.ts';
import {
  ARRIVED,
  type Crossed,
  crossings,
  everywhere,
  POLICY,
  type Row,
  underPolicy,
  unread,
} from './support/crossings.ts';
import { ipFrameOf } from './support/wire.ts';

const MALFORMED = unread('drop-malformed');

function row(
  name: string,
  protocol: number,
  payloads: (crossed: Crossed) => readonly Uint8Array[],
  expected: Row['expected'],
): Row {
  return {
    name,
    frames: (crossed) =>
      payloads(crossed).map((payload) => ipFrameOf(crossed, { family: crossed.family, protocol, payload })),
    expected,
  };
}

const [FIN, SYN, RST, ACK] = [1, 2, 4, 16] as const;

function flagged(source: number, port: number, flags: number): Buffer {
  const bytes = tcp(source, port, '');
  bytes[13] = flags;
  return bytes;
}

const segments: Row[] = [
  row('TCP with a header of 4 words', PROTOCOL.tcp, ({ number }) => [tcp(number, ADMITTED.tcp, 'S', 4)], MALFORMED),
  row(
    'TCP with options',
    PROTOCOL.tcp,
    ({ number }) =>
      [ADMITTED.tcp, DENIED].map((port) => Buffer.concat([tcp(number, port, 'S', 15), Buffer.alloc(40, 1)])),
    underPolicy(ARRIVED, POLICY),
  ),
  row('TCP to port 0', PROTOCOL.tcp, () => [tcp(0, 0, 'S')], underPolicy(POLICY)),
  row(
    'TCP to the admitted port with its bytes swapped',
    PROTOCOL.tcp,
    ({ number }) => [tcp(number, 0x901f, 'S')],
    underPolicy(POLICY),
  ),
  row(
    'TCP from the admitted port',
    PROTOCOL.tcp,
    ({ number }) => [tcp(ADMITTED.tcp, number, 'SA')],
    underPolicy(POLICY),
  ),
];

const datagrams: Row[] = [
  row(
    'UDP with a length of 0, and one of 65535',
    PROTOCOL.udp,
    ({ number }) =>
      [0, 7, 65535].map((length) => {
        const bytes = udp(number, DENIED);
        bytes.writeUInt16BE(length, 4);
        return bytes;
      }),
    underPolicy(POLICY, POLICY, POLICY),
  ),
  row(
    'UDP without a payload',
    PROTOCOL.udp,
    ({ number }) => [ADMITTED.udp, DENIED].map((port) => udp(number, port, 0)),
    underPolicy(ARRIVED, POLICY),
  ),
  row('UDP from the admitted port', PROTOCOL.udp, ({ number }) => [udp(ADMITTED.udp, number)], underPolicy(POLICY)),
  row(
    "the other protocols' admitted ports",
    PROTOCOL.udp,
    ({ number }) => [udp(number, ADMITTED.tcp), udp(number, ADMITTED.sctp)],
    underPolicy(POLICY, POLICY),
  ),
];

/** INIT must be alone in its packet: here it comes second. */
function bundled(source: number, port: number, firstChunk: number): Buffer {
  const init = sctp(source, port, CHUNK.init).subarray(12);
  return Buffer.concat([sctp(source, port, firstChunk).subarray(0, 16), init]);
}

const associations: Row[] = [
  row(
    'SCTP INIT',
    PROTOCOL.sctp,
    ({ number }) => [ADMITTED.sctp, DENIED].map((port) => sctp(number, port, CHUNK.init)),
    underPolicy(ARRIVED, POLICY),
  ),
  ...[0, 2, 3, 6, 9, 10, 11, 14, 255].map((chunk) =>
    row(
      `SCTP beginning with chunk ${chunk} of no association`,
      PROTOCOL.sctp,
      ({ number }) => [sctp(number, ADMITTED.sctp, chunk), sctp(number, DENIED, chunk)],
      underPolicy(ARRIVED, POLICY),
    ),
  ),
  row(
    'SCTP INIT behind another chunk',
    PROTOCOL.sctp,
    ({ number }) => [bundled(number, DENIED, CHUNK.data)],
    underPolicy(POLICY),
  ),
  row(
    'SCTP without a chunk',
    PROTOCOL.sctp,
    ({ number }) => [sctp(number, ADMITTED.sctp, 1).subarray(0, 12)],
    MALFORMED,
  ),
  row(
    'SCTP ending inside of its first chunk',
    PROTOCOL.sctp,
    ({ number }) => [sctp(number, ADMITTED.sctp, 1).subarray(0, 15)],
    MALFORMED,
  ),
];

function icmpRow(name: string, types: Readonly<Record<Family, number>>, expected: Row['expected']): Row[] {
  return FAMILIES.map((family) => ({
    ...row(
      `${name} by IPv${family}`,
      family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6,
      ({ number }) => [echo(types[family], number)],
      expected,
    ),
    family,
  }));
}

/** Cut by what IP says of the length, at every byte; the rest of the header stands behind the packet. */
function cut(name: string, protocol: number, header: (crossed: Crossed) => Buffer, family?: Family): Row {
  const length = header({ ...REQUEST, family: 4, number: 0 }).length;
  const frames = (crossed: Crossed) =>
    Array.from({ length }, (_, end) => {
      const lie = { v4: { totalLength: 20 + end }, v6: { payloadLength: end } };
      return ipFrameOf(crossed, { family: crossed.family, protocol, payload: header(crossed), ...lie });
    });
  const repeat = ([outcome]: readonly string[]) => Array<string>(length).fill(outcome as string);
  const { both, sender, receiver, none } = MALFORMED;
  const expected = { both: repeat(both), sender: repeat(sender), receiver: repeat(receiver), none: repeat(none) };
  return {
    name: `${name} that ends inside of its header`,
    frames,
    expected,
    kernelRefuses: true,
    ...(family && { family }),
  };
}

const REQUEST = { from: PODS.guarded, to: PODS.ward };
const ends: Row[] = [
  cut('TCP', PROTOCOL.tcp, ({ number }) => tcp(number, ADMITTED.tcp, 'S')),
  cut('UDP', PROTOCOL.udp, ({ number }) => udp(number, ADMITTED.udp, 0)),
  cut('SCTP', PROTOCOL.sctp, ({ number }) => sctp(number, ADMITTED.sctp, 1).subarray(0, 16)),
  cut('ICMP', PROTOCOL.icmp, ({ number }) => echo(8, number).subarray(0, 8), 4),
  cut('ICMP of IPv6', PROTOCOL.icmpv6, ({ number }) => echo(128, number).subarray(0, 8), 6),
];

const echoes: Row[] = [
  ...icmpRow('an echo request', { 4: 8, 6: 128 }, underPolicy(POLICY)),
  ...icmpRow('an echo reply that nobody asked for', { 4: 0, 6: 129 }, underPolicy(POLICY)),
  ...icmpRow('a timestamp, or node information', { 4: 13, 6: 139 }, underPolicy(POLICY)),
  ...icmpRow('an unknown type', { 4: 200, 6: 200 }, underPolicy(POLICY)),
  ...icmpRow('a redirect of IPv4, or an unknown error of IPv6', { 4: 5, 6: 100 }, underPolicy(POLICY)),
];

crossings('transport headers', [...segments, ...datagrams, ...associations, ...ends, ...echoes]);
crossings(
  'echo where policy names no ports',
  icmpRow('an echo request', { 4: 8, 6: 128 }, everywhere(ARRIVED)),
  'every protocol',
);

describeAsRoot('TCP flags', () => {
  let node: BridgeNode;
  let port = 20_000;
  beforeAll(async () => {
    node = await BridgeNode.open('flags');
    await node.apply(guarding());
  });
  afterAll(() => node?.close());

  const all = Array.from({ length: 256 }, (_, flags) => flags);
  const there = { from: PODS.guarded, to: PODS.ward };
  const back = { from: PODS.ward, to: PODS.guarded };

  for (const family of FAMILIES) {
    it(`none of them opens a port that is not admitted (IPv${family})`, () => {
      const outcomes = all.map((flags) => {
        const frame = ipFrameOf(there, { family, protocol: PROTOCOL.tcp, payload: flagged(port++, DENIED, flags) });
        return node.offer('guarded', 'ward', frame);
      });
      expect(outcomes.filter((outcome) => outcome !== POLICY)).toEqual([]);
    });

    it(`only a plain SYN lets an answer back (IPv${family})`, () => {
      const answered = all.filter((flags) => {
        const source = port++;
        const send = (payload: Buffer) => ipFrameOf(there, { family, protocol: PROTOCOL.tcp, payload });
        expect(node.offer('guarded', 'ward', send(flagged(source, ADMITTED.tcp, flags)))).toBe(ARRIVED);
        const answer = { family, protocol: PROTOCOL.tcp, payload: flagged(ADMITTED.tcp, source, SYN | ACK) };
        return node.offer('ward', 'guarded', ipFrameOf(back, answer)) === ARRIVED;
      });
      expect(answered).toEqual(all.filter((flags) => (flags & (FIN | SYN | RST | ACK)) === SYN));
    });
  }
});
