// What a pod may say on its link: that its own addresses are its own, and nothing else.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { address, arp, extension, fragmentHeader, icmp, ipv6, MAC, PROTOCOL } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { ENDPOINTS, PLACES, RULESET } from './support/state.ts';

const { web, api, db } = ENDPOINTS;
const DELIVERED = 'delivered';
const ALL_NODES = 'ff02::1';
const ANY = '::';

/** A neighbour discovery message about a target. */
const discovery = (type: number, source: string, target: string, { hopLimit = 255, destination = ALL_NODES } = {}) =>
  ipv6({ source, destination, next: PROTOCOL.icmpv6, hopLimit }, icmp(type, 0, 0, address(target)));
const listener = (type: number, source: string, destination = 'ff02::16', hopLimit = 1) =>
  ipv6(
    { source, destination, next: PROTOCOL.hopByHop, hopLimit },
    Buffer.concat([extension(PROTOCOL.icmpv6), icmp(type, 0, 0, Buffer.alloc(16))]),
  );
const behindOptions = (type: number, source: string, target: string) =>
  ipv6(
    { source, destination: ALL_NODES, next: PROTOCOL.destinationOptions, hopLimit: 255 },
    Buffer.concat([extension(PROTOCOL.icmpv6), icmp(type, 0, 0, address(target))]),
  );
const inFragment = (type: number, source: string, target: string) =>
  ipv6(
    { source, destination: ALL_NODES, next: PROTOCOL.fragment, hopLimit: 255 },
    Buffer.concat([fragmentHeader(PROTOCOL.icmpv6, 0, true, 5), icmp(type, 0, 0, address(target))]),
  );

const shortAdvertisement = ipv6(
  { source: web.ipv6, destination: ALL_NODES, next: PROTOCOL.icmpv6, hopLimit: 255 },
  icmp(136, 0, 0, address(web.ipv6).subarray(0, 12)),
);

const ROWS: readonly (readonly [string, Uint8Array, string])[] = [
  ['ARP request from the own address', arp({ sender: web.ipv4, target: api.ipv4 }), DELIVERED],
  ['ARP answer for the own address', arp({ sender: web.ipv4, target: api.ipv4, operation: 2 }), DELIVERED],
  ['ARP probe', arp({ sender: '0.0.0.0', target: web.ipv4 }), DELIVERED],
  ['ARP announcement of the own address', arp({ sender: web.ipv4, target: web.ipv4 }), DELIVERED],
  ["ARP for a neighbour's address", arp({ sender: db.ipv4, target: api.ipv4 }), 'from_pod ARP'],
  ["ARP answer for the node's address", arp({ sender: '10.1.0.1', target: api.ipv4, operation: 2 }), 'from_pod ARP'],
  [
    "ARP with another hardware address than the frame's",
    arp({ sender: web.ipv4, target: api.ipv4, senderMac: MAC.other }),
    'from_pod ARP',
  ],
  ['ARP cut short', arp({ sender: web.ipv4, target: api.ipv4 }).subarray(0, 30), 'from_pod ARP'],

  ['solicitation from the own address', discovery(135, web.ipv6, api.ipv6), DELIVERED],
  ['solicitation from the own link-local address', discovery(135, web.linkLocal, api.ipv6), DELIVERED],
  ['duplicate address detection of the own address', discovery(135, ANY, web.ipv6), DELIVERED],
  ['duplicate address detection of the own link-local one', discovery(135, ANY, web.linkLocal), DELIVERED],
  ["duplicate address detection of a neighbour's", discovery(135, ANY, db.ipv6), 'from_pod NEIGHBOUR'],
  ["solicitation from a neighbour's address", discovery(135, db.ipv6, api.ipv6), 'from_pod SOURCE'],
  ['router solicitation', discovery(133, web.linkLocal, ANY), DELIVERED],
  ['advertisement of the own address', discovery(136, web.ipv6, web.ipv6), DELIVERED],
  ['advertisement of the own link-local address', discovery(136, web.linkLocal, web.linkLocal), DELIVERED],
  ["advertisement of a neighbour's address", discovery(136, web.ipv6, db.ipv6), 'from_pod NEIGHBOUR'],
  ["advertisement of the node's address", discovery(136, web.linkLocal, 'fe80::1'), 'from_pod NEIGHBOUR'],
  ['advertisement from nobody', discovery(136, ANY, web.ipv6), 'from_pod NEIGHBOUR'],
  ['advertisement cut short', shortAdvertisement, 'from_pod MALFORMED'],
  ['router advertisement', discovery(134, web.linkLocal, ANY), 'from_pod ROUTER'],
  ['redirect', discovery(137, web.linkLocal, db.ipv6), 'from_pod ROUTER'],
  ['router advertisement behind options', behindOptions(134, web.linkLocal, ANY), 'from_pod ROUTER'],
  ["advertisement of a neighbour's behind options", behindOptions(136, web.ipv6, db.ipv6), 'from_pod NEIGHBOUR'],
  ['advertisement in a fragment', inFragment(136, web.ipv6, web.ipv6), 'from_pod MALFORMED'],
  ['router advertisement in a fragment', inFragment(134, web.linkLocal, ANY), 'from_pod MALFORMED'],
  ['listener report', listener(143, web.linkLocal), DELIVERED],
  ['listener report without an address yet', listener(143, ANY), DELIVERED],
  ["listener report from a neighbour's address", listener(143, db.linkLocal), 'from_pod SOURCE'],
];

describeAsRoot('the link', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('link');
  });
  afterAll(() => path?.close());

  const isolated = {
    ...PLACES,
    endpoints: { web: { egress: RULESET.webEgress }, api: { ingress: RULESET.apiIngress } },
  };

  describe.each([
    ['between isolated pods', isolated],
    ['between pods under no policy', PLACES],
  ] as const)('%s', (_, state) => {
    beforeAll(() => path.apply(state));
    it.each(ROWS)('%s', (__, frame, end) => {
      expect(travel(path, { frame, from: 'web', to: 'api' })).toBe(end);
    });
  });

  it('what is no message of the link is judged by policy', () => {
    path.apply(isolated);
    const send = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'api' });
    expect(send(discovery(135, web.ipv6, api.ipv6, { hopLimit: 254, destination: api.ipv6 }))).toBe('to_pod POLICY');
    expect(send(behindOptions(135, web.ipv6, api.ipv6))).toBe('to_pod POLICY');
    expect(send(listener(130, web.linkLocal))).toBe('to_pod POLICY');
    expect(send(listener(143, web.linkLocal, 'ff02::16', 2))).toBe('to_pod POLICY');
  });

  it('the node and its routers may say to a pod what a pod may not', () => {
    path.apply(isolated);
    const receive = (packet: Uint8Array) =>
      path.run('to_pod', { packet, ifindex: path.ifindex('api'), ingressIfindex: 0 }).passed;
    expect(receive(discovery(134, 'fe80::1', ANY))).toBe(true);
    expect(receive(discovery(136, 'fe80::1', 'fe80::1', { destination: api.ipv6 }))).toBe(true);
    expect(receive(listener(130, 'fe80::1', 'ff02::1'))).toBe(true);
    expect(receive(arp({ sender: '10.1.0.1', target: api.ipv4 }))).toBe(true);
  });

  it('an echo request to everybody on the link is no message of the link', () => {
    path.apply(isolated);
    const frame = ipv6(
      { source: web.linkLocal, destination: ALL_NODES, next: PROTOCOL.icmpv6, hopLimit: 255 },
      icmp(128, 0),
    );
    expect(travel(path, { frame, from: 'web', to: 'api' })).toBe('to_pod POLICY');
  });
});
