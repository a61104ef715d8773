/** What is not IP, or not as plain: tags and other EtherTypes, on real veths. */
import { PROTOCOL, tcp } from '../bpf/support/frames.ts';
import { ADMITTED, NODE } from './support/cast.ts';
import { type Crossed, crossings, everywhere, type Row, unread } from './support/crossings.ts';
import { arpFrame, ETHERTYPES, frameOf, packetOf, type Tag, u16 } from './support/wire.ts';

/** A connection that policy admits, which no wrapping may hide or change. */
function innocent(crossed: Crossed): Buffer {
  return packetOf(crossed, {
    family: crossed.family,
    protocol: PROTOCOL.tcp,
    payload: tcp(crossed.number, ADMITTED.tcp, 'S'),
  });
}

function tagged(name: string, ...tags: readonly Tag[]): Row {
  return {
    name,
    frames: (crossed) => [frameOf(crossed, ETHERTYPES[crossed.family], innocent(crossed), tags)],
    expected: everywhere('from-pod drop-vlan'),
  };
}

const tags: Row[] = [
  tagged('a VLAN tag', [0x8100, 5]),
  tagged('a priority tag, which names no VLAN', [0x8100, 0]),
  tagged('a tag with the highest priority', [0x8100, 0xefff]),
  tagged('a service tag', [0x88a8, 5]),
  tagged('QinQ', [0x88a8, 5], [0x8100, 6]),
  tagged('two VLAN tags', [0x8100, 5], [0x8100, 6]),
  tagged('three tags', [0x88a8, 5], [0x8100, 6], [0x8100, 7]),
  {
    name: 'an ARP reply for a neighbour behind a tag',
    frames: ({ from, to }) => {
      const bytes = arpFrame({ from, to, sender: NODE.addresses[4], target: to.addresses[4], operation: 2 });
      return [Buffer.concat([bytes.subarray(0, 12), u16(0x8100, 5), bytes.subarray(12)])];
    },
    expected: everywhere('from-pod drop-vlan'),
  },
];

const ethertypes: Row[] = [
  ['LLDP', 0x88cc],
  ['MPLS', 0x8847],
  ['MPLS multicast', 0x8848],
  ['PPPoE', 0x8864],
  ['RARP', 0x8035],
  ['MACsec', 0x88e5],
  ['an old QinQ tag', 0x9100],
  ['802.1X', 0x888e],
  ['a loopback frame', 0x9000],
  ['a length of 802.3', 60],
  ['a length of 0', 0],
  ['no EtherType at all', 0xffff],
].map(([what, type]) => ({
  name: `${what} with an admitted packet inside`,
  frames: (crossed) => [frameOf(crossed, type as number, innocent(crossed))],
  expected: unread('drop-ethertype'),
}));

const wrongFamily: Row = {
  name: "the other family's EtherType",
  frames: (crossed) => [frameOf(crossed, ETHERTYPES[crossed.family === 4 ? 6 : 4], innocent(crossed))],
  expected: everywhere('from-pod drop-malformed'),
};

const snap: Row = {
  name: 'LLC and SNAP with IP inside',
  frames: (crossed) => {
    const inside = Buffer.concat([
      Buffer.from('aaaa03000000', 'hex'),
      u16(ETHERTYPES[crossed.family]),
      innocent(crossed),
    ]);
    return [frameOf(crossed, inside.length, inside)];
  },
  expected: unread('drop-ethertype'),
};
crossings('the link layer', [...tags, ...ethertypes, wrongFamily, snap]);
