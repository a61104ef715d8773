// Every packet that somebody may try against a pod under policy: what it is, where it ends, and the reason.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import {
  CHUNK,
  ETHERTYPE,
  ethernet,
  extension,
  ipv4,
  ipv4Packet,
  ipv6,
  ipv6Packet,
  PROTOCOL,
  sctp,
  tcp,
  udp,
} from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { ENDPOINTS, everything, PLACES, port, RULESET, type State } from './support/state.ts';

const { web, api } = ENDPOINTS;
const { apiIngress, webEgress } = RULESET;
const V4 = { source: web.ipv4, destination: api.ipv4 };
const V6 = { source: web.ipv6, destination: api.ipv6 };
const SYN = tcp(5000, 8080, 'S');
const DELIVERED = 'delivered';

/** web may reach api on 8080/tcp and 53/udp; nothing else is isolated. */
const INGRESS: State = {
  ...PLACES,
  endpoints: { api: { ingress: apiIngress } },
  rows: [{ ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080), port('udp', 53)] }],
};
/** web may go to api on 8080/tcp only. */
const EGRESS: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress } },
  rows: [{ ruleset: webEgress, peer: 'api', ports: [port('tcp', 8080)] }],
};
const OPEN: State = PLACES;

interface Row {
  readonly name: string;
  readonly frame: Uint8Array;
  /** Where it ends when api is isolated, when web is, and when nobody is. */
  readonly ingress: string;
  readonly egress: string;
  readonly open: string;
}

const same = (name: string, frame: Uint8Array, end: string): Row => ({
  name,
  frame,
  ingress: end,
  egress: end,
  open: end,
});
/** Passes between pods under no policy; else dropped for this reason by whoever guards. */
const guarded = (name: string, frame: Uint8Array, reason: string, egressAt = 'from_pod'): Row => ({
  name,
  frame,
  ingress: `to_pod ${reason}`,
  egress: `${egressAt} ${reason}`,
  open: DELIVERED,
});

const v4 = (header: object, payload: Uint8Array) => ipv4({ ...V4, protocol: PROTOCOL.tcp, ...header }, payload);
const v6 = (header: object, payload: Uint8Array) => ipv6({ ...V6, next: PROTOCOL.tcp, ...header }, payload);
/** IPv6 with extension headers, each given the protocol of what follows. */
const chain = (headers: readonly [number, (next: number) => Buffer][], last: number, payload: Uint8Array) => {
  const bytes = headers.map(([, make], index) => make(headers[index + 1]?.[0] ?? last));
  return v6({ next: headers[0]?.[0] ?? last }, Buffer.concat([...bytes, payload]));
};
const options = (next: number) => extension(next);

const ROWS: readonly Row[] = [
  same('a plain SYN that is admitted', v4({}, SYN), DELIVERED),
  same('the same over IPv6', v6({}, SYN), DELIVERED),
  guarded('a port that no rule has', v4({}, tcp(5000, 8081, 'S')), 'POLICY', 'to_pod'),
  guarded('the same over IPv6', v6({}, tcp(5000, 8081, 'S')), 'POLICY', 'to_pod'),

  same('IPv4 options before an admitted port', v4({ options: [148, 4, 0, 0] }, SYN), DELIVERED),
  guarded('IPv4 options before a denied port', v4({ options: [148, 4, 0, 0] }, tcp(1, 2, 'S')), 'POLICY', 'to_pod'),
  guarded(
    'a denied port where a 20-byte header would show an admitted one',
    v4({ options: [0, 0, 0x1f, 0x90, 0, 0, 0, 0] }, tcp(8080, 22, 'S')),
    'POLICY',
    'to_pod',
  ),
  same('IPv4 options to the brim', v4({ options: Array(40).fill(1) }, SYN), DELIVERED),
  same('a loose source route', v4({ options: [131, 7, 4, 10, 1, 0, 4, 0] }, SYN), 'from_pod MALFORMED'),
  same('a strict source route', v4({ options: [137, 7, 4, 10, 1, 0, 4, 0] }, SYN), 'from_pod MALFORMED'),
  same('a source route behind other options', v4({ options: [1, 148, 4, 0, 0, 131, 3, 4] }, SYN), 'from_pod MALFORMED'),
  same('an option longer than the header', v4({ options: [148, 40, 0, 0] }, SYN), 'from_pod MALFORMED'),
  same('an option of no length', v4({ options: [148, 0, 0, 0] }, SYN), 'from_pod MALFORMED'),
  same('an IPv4 header length below 5', v4({ headerLength: 4 }, SYN), 'from_pod MALFORMED'),
  same('an IPv4 header longer than the packet', v4({ headerLength: 15 }, Buffer.alloc(8)), 'from_pod MALFORMED'),
  same('IPv4 of another version', v4({ version: 5 }, SYN), 'from_pod MALFORMED'),
  same('IPv6 of another version', v6({ version: 4 }, SYN), 'from_pod MALFORMED'),
  same('a total length beyond the frame', v4({ totalLength: 200 }, SYN), 'from_pod MALFORMED'),
  same('a total length below the header', v4({ totalLength: 19 }, SYN), 'from_pod MALFORMED'),
  guarded('TCP beyond the total length, as if it were padding', v4({ totalLength: 24 }, SYN), 'MALFORMED'),
  guarded('TCP beyond the payload length', v6({ payloadLength: 4 }, SYN), 'MALFORMED'),
  guarded('TCP cut short', v4({}, SYN.subarray(0, 14)), 'MALFORMED'),
  guarded('TCP cut short over IPv6', v6({}, SYN.subarray(0, 16)), 'MALFORMED'),
  guarded('a TCP data offset below 5', v4({}, tcp(5000, 8080, 'S', 4)), 'MALFORMED'),
  guarded('UDP cut short', v4({ protocol: PROTOCOL.udp }, udp(1, 53).subarray(0, 7)), 'MALFORMED'),
  guarded('SCTP without a chunk', v4({ protocol: PROTOCOL.sctp }, sctp(1, 2, CHUNK.init).subarray(0, 12)), 'MALFORMED'),
  guarded('ICMP cut short', v4({ protocol: PROTOCOL.icmp }, Buffer.alloc(6)), 'MALFORMED'),

  same('destination options before an admitted port', chain([[60, options]], PROTOCOL.tcp, SYN), DELIVERED),
  guarded('destination options before a denied one', chain([[60, options]], 6, tcp(1, 2, 'S')), 'POLICY', 'to_pod'),
  same(
    'as many extension headers as are walked',
    chain([[0, options], ...Array.from({ length: 7 }, () => [60, options] as [number, typeof options])], 6, SYN),
    DELIVERED,
  ),
  guarded(
    'one extension header more',
    chain([[0, options], ...Array.from({ length: 8 }, () => [60, options] as [number, typeof options])], 6, SYN),
    'MALFORMED',
  ),
  guarded(
    'hop-by-hop options that are not first',
    chain(
      [
        [60, options],
        [0, options],
      ],
      6,
      SYN,
    ),
    'MALFORMED',
  ),
  guarded(
    'a routing header with segments left',
    chain([[43, (next) => extension(next, { units: 2, segmentsLeft: 1 })]], 6, SYN),
    'MALFORMED',
  ),
  same('a routing header that is used up', chain([[43, (next) => extension(next, { units: 2 })]], 6, SYN), DELIVERED),
  guarded(
    'an extension header longer than the packet',
    v6({ next: 60 }, Buffer.concat([Buffer.from([6, 200, 0, 0, 0, 0, 0, 0]), SYN])),
    'MALFORMED',
  ),
  guarded('an extension header cut short', v6({ next: 60 }, Buffer.from([6, 0, 0, 0])), 'MALFORMED'),
  guarded('"no next header"', v6({ next: PROTOCOL.none }, SYN), 'POLICY', 'to_pod'),
  guarded('an authentication header before TCP', v6({ next: PROTOCOL.ah }, SYN), 'POLICY', 'to_pod'),

  guarded(
    'IP-in-IP around an admitted packet',
    v4({ protocol: 4 }, ipv4Packet({ ...V4, protocol: 6 }, SYN)),
    'POLICY',
    'to_pod',
  ),
  guarded('GRE', v4({ protocol: PROTOCOL.gre }, Buffer.alloc(24)), 'POLICY', 'to_pod'),
  guarded('IGMP', v4({ protocol: PROTOCOL.igmp }, Buffer.alloc(8)), 'POLICY', 'to_pod'),
  guarded('protocol 0, the number of "any" in port ranges', v4({ protocol: 0 }, SYN), 'POLICY', 'to_pod'),
  guarded('protocol 255, the number of "other" in port ranges', v4({ protocol: 255 }, SYN), 'POLICY', 'to_pod'),
  guarded('ICMPv6 in IPv4', v4({ protocol: PROTOCOL.icmpv6 }, Buffer.alloc(24)), 'POLICY', 'to_pod'),

  guarded('TCP without any flag', v4({}, tcp(5000, 8081, '')), 'POLICY', 'to_pod'),
  guarded('TCP with FIN, PSH, URG', v4({}, tcp(5000, 8081, 'FPU')), 'POLICY', 'to_pod'),
  guarded('TCP with SYN and FIN', v4({}, tcp(5000, 8081, 'SF')), 'POLICY', 'to_pod'),
  guarded('TCP with SYN and RST', v4({}, tcp(5000, 8081, 'SR')), 'POLICY', 'to_pod'),
  guarded('TCP with SYN and ACK out of nowhere', v4({}, tcp(5000, 8081, 'SA')), 'POLICY', 'to_pod'),
  guarded('TCP with ACK out of nowhere', v4({}, tcp(5000, 8081, 'A')), 'POLICY', 'to_pod'),

  same('a VLAN tag', ethernet(ETHERTYPE.ipv4, ipv4Packet({ ...V4, protocol: 6 }, SYN), [[0x8100, 5]]), 'from_pod VLAN'),
  same(
    'two tags',
    ethernet(ETHERTYPE.ipv4, ipv4Packet({ ...V4, protocol: 6 }, SYN), [
      [0x88a8, 5],
      [0x8100, 6],
    ]),
    'from_pod VLAN',
  ),
  same(
    'a priority tag',
    ethernet(ETHERTYPE.ipv4, ipv4Packet({ ...V4, protocol: 6 }, SYN), [[0x8100, 0]]),
    'from_pod VLAN',
  ),
  guarded('an unknown EtherType', ethernet(0x88b5, Buffer.alloc(46)), 'ETHERTYPE'),
  guarded('PPPoE around IP', ethernet(0x8864, ipv4Packet({ ...V4, protocol: 6 }, SYN)), 'ETHERTYPE'),
  guarded('an LLC frame', ethernet(0x0026, Buffer.alloc(46)), 'ETHERTYPE'),
  same(
    'IPv6 under the EtherType of IPv4',
    ethernet(ETHERTYPE.ipv4, ipv6Packet({ ...V6, next: 6 }, SYN)),
    'from_pod MALFORMED',
  ),
  same(
    'IPv4 under the EtherType of IPv6',
    ethernet(ETHERTYPE.ipv6, ipv4Packet({ ...V4, protocol: 6 }, Buffer.alloc(40))),
    'from_pod MALFORMED',
  ),

  same("a neighbour's source address", v4({ source: ENDPOINTS.db.ipv4 }, SYN), 'from_pod SOURCE'),
  same("the node's source address", v4({ source: '10.0.0.1' }, SYN), 'from_pod SOURCE'),
  same("a Service's source address", v4({ source: '10.96.0.10' }, SYN), 'from_pod SOURCE'),
  same('no source address', v4({ source: '0.0.0.0' }, SYN), 'from_pod SOURCE'),
  same("a neighbour's IPv6 source address", v6({ source: ENDPOINTS.db.ipv6 }, SYN), 'from_pod SOURCE'),
  same("a neighbour's link-local source", v6({ source: ENDPOINTS.db.linkLocal }, SYN), 'from_pod SOURCE'),
  same('no IPv6 source address', v6({ source: '::' }, SYN), 'from_pod SOURCE'),
  same(
    'a forged source behind options',
    v4({ source: ENDPOINTS.db.ipv4, options: [1, 1, 1, 1] }, SYN),
    'from_pod SOURCE',
  ),
];

describeAsRoot('packets between two pods', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('packets');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  for (const [who, state, end] of [
    ['the receiver is isolated', INGRESS, 'ingress'],
    ['the sender is isolated', EGRESS, 'egress'],
    ['nobody is isolated', OPEN, 'open'],
  ] as const) {
    describe(who, () => {
      beforeAll(() => path.apply(state));
      it.each(ROWS)('$name', (row) => {
        expect(travel(path, { frame: row.frame, from: 'web', to: 'api' })).toBe(row[end]);
      });
    });
  }

  it('a rule without ports admits every protocol, readable or with extension headers, but nothing malformed', () => {
    path.apply({
      ...PLACES,
      endpoints: { api: { ingress: apiIngress } },
      rows: [{ ruleset: apiIngress, peer: 'web', ports: everything() }],
    });
    for (const protocol of [0, 2, 4, 47, 50, 51, 89, 115, 253, 255]) {
      path.forgetFlows();
      expect(travel(path, { frame: v4({ protocol }, Buffer.alloc(24)), from: 'web', to: 'api' })).toBe(DELIVERED);
    }
    expect(travel(path, { frame: v4({}, SYN.subarray(0, 14)), from: 'web', to: 'api' })).toBe('to_pod MALFORMED');
  });

  it('what cannot be read from outside is dropped before an isolated pod only', () => {
    const cut = (destination: string) =>
      ipv4({ source: '192.0.2.1', destination, protocol: PROTOCOL.tcp }, SYN.subarray(0, 12));
    path.apply(INGRESS);
    expect(travel(path, { frame: cut(api.ipv4), from: 'outside', to: 'api' })).toBe('to_pod MALFORMED');
    expect(travel(path, { frame: cut(web.ipv4), from: 'outside', to: 'web' })).toBe(DELIVERED);
  });

  it("nobody gets a packet for another pod's address, wherever its hardware address brings it", () => {
    const { db } = ENDPOINTS;
    const admitted = [v4({ destination: db.ipv4 }, SYN), v6({ destination: db.ipv6 }, SYN)];
    path.apply(OPEN);
    for (const frame of [...admitted, v6({ destination: db.linkLocal, source: web.linkLocal }, SYN)]) {
      expect(travel(path, { frame, from: 'web', to: 'api' })).toBe('to_pod DESTINATION');
      expect(travel(path, { frame, from: 'outside', to: 'api' })).toBe('to_pod DESTINATION');
      expect(travel(path, { frame, from: 'web', to: 'db' })).toBe(DELIVERED);
    }
  });

  it('a GSO packet without a length in its header is as long as it is', () => {
    path.apply(INGRESS);
    const run = (frame: Buffer, gsoSize: number) =>
      path.run('to_pod', { packet: frame, ifindex: path.ifindex('api'), mark: path.markOf('web'), gsoSize }).passed;
    for (const frame of [v4({ totalLength: 0 }, SYN), v6({ payloadLength: 0 }, SYN)]) {
      expect(run(frame, 0)).toBe(false);
      expect(run(frame, 1000)).toBe(true);
    }
  });

  it('multicast and broadcast are judged by the address that they go to', () => {
    const group = (destination: string) => ipv4({ ...V4, destination, protocol: PROTOCOL.udp }, udp(5353, 5353));
    path.apply({ ...EGRESS, cidrs: [{ prefix: '224.0.0.0/4', peer: 'block' }] });
    expect(travel(path, { frame: group('224.0.0.251'), from: 'web', to: 'api' })).toBe('to_pod POLICY');
    path.apply({
      ...EGRESS,
      cidrs: [{ prefix: '224.0.0.0/4', peer: 'block' }],
      rows: [{ ruleset: webEgress, peer: 'block', ports: [port('udp', 5353)] }],
    });
    expect(travel(path, { frame: group('224.0.0.251'), from: 'web', to: 'api' })).toBe(DELIVERED);
    expect(travel(path, { frame: group('255.255.255.255'), from: 'web', to: 'api' })).toBe('to_pod POLICY');
    expect(path.flows('api')).toEqual([]);
  });
});
