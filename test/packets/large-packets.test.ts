/** Packets that test-runs cannot carry: segments still to be cut, and headers that lie outside of an skb's linear part. */
import type { PacketSocket } from 'selvedge-libbpf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { icmp, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, DENIED, FAMILIES, type Family, guarding, NODE, PODS } from './support/cast.ts';
import { arpFrame, type Ends, frameOf, ipFrameOf, type Wrapped } from './support/wire.ts';

const ENDS: Ends = { from: PODS.guarded, to: PODS.ward };
const ARRIVED = 'arrived';

/** What stands before the frame for PACKET_VNET_HDR: how to cut it, and how much of it is linear. */
interface Offload {
  readonly kind?: 'tcp4' | 'tcp6' | 'udp';
  /** Bytes of the frame. */
  readonly linear: number;
  readonly segment?: number;
}

const KINDS = { tcp4: 1, tcp6: 4, udp: 5 } as const;

/** Whole checksums of what a kernel would have to cut are its own business: `transport` names where they go. */
function offloaded(frame: Uint8Array, { kind, linear, segment = 0 }: Offload, transport?: Transport): Buffer {
  const head = Buffer.alloc(10);
  const native = (value: number, at: number) => head.set(new Uint8Array(Uint16Array.of(value).buffer), at);
  head[0] = transport === undefined ? 0 : 1;
  head[1] = kind === undefined ? 0 : KINDS[kind];
  native(linear, 2);
  native(segment, 4);
  native(transport?.start ?? 0, 6);
  native(transport?.checksum ?? 0, 8);
  return Buffer.concat([head, frame]);
}

interface Transport {
  readonly start: number;
  readonly checksum: number;
}

describeAsRoot('large packets', () => {
  let node: BridgeNode;
  let socket: PacketSocket;
  let port = 40_000;
  beforeAll(async () => {
    node = await BridgeNode.open('large');
    await node.apply(guarding());
    socket = node.openSocket('guarded', { vnetHeader: true });
  });
  afterAll(() => {
    socket?.close();
    node?.close();
  });

  function offer(frame: Uint8Array, offload: Offload, transport?: Transport): string {
    const send = () => socket.send(offloaded(frame, offload, transport));
    return node.offer('guarded', 'ward', frame, { send });
  }

  for (const family of FAMILIES) {
    const header = 14 + (family === 4 ? 20 : 40);
    const segmented = (protocol: 'tcp' | 'udp', wantedPort: number, size: number, fields: Partial<Wrapped> = {}) => {
      const head = protocol === 'tcp' ? tcp(port++, wantedPort, 'A') : udp(port++, wantedPort, 0);
      const payload = Buffer.concat([head, Buffer.alloc(size, 7)]);
      if (protocol === 'udp') payload.writeUInt16BE(payload.length, 4);
      const frame = ipFrameOf(ENDS, { family, protocol: PROTOCOL[protocol], payload, ...fields });
      const kind = protocol === 'udp' ? 'udp' : family === 4 ? 'tcp4' : 'tcp6';
      const transport = { start: header, checksum: protocol === 'tcp' ? 16 : 6 };
      return { frame, transport, offload: { kind, linear: header + head.length, segment: 1400 } as const };
    };

    for (const [protocol, most] of [
      ['tcp', 60_000],
      ['udp', 60_000],
    ] as const) {
      for (const size of [3_000, most]) {
        it(`${size} bytes of ${protocol} by IPv${family} still to be cut pass whole, or not at all`, () => {
          for (const [wanted, outcome] of [
            [ADMITTED[protocol], ARRIVED],
            [DENIED, 'to-pod drop-policy'],
          ] as const) {
            const { frame, offload, transport } = segmented(protocol, wanted, size);
            expect(offer(frame, offload, transport)).toBe(outcome);
          }
        });
      }
    }

    it(`segments to be cut have no other source than their pod's (IPv${family})`, () => {
      const source = NODE.addresses[family];
      const { frame, offload, transport } = segmented('tcp', ADMITTED.tcp, 20_000, { source });
      expect(offer(frame, offload, transport)).toBe('from-pod drop-source');
    });

    it(`segments to be cut whose length is not said yet are judged by their ports (IPv${family})`, () => {
      const fields = { v4: { totalLength: 0 }, v6: { payloadLength: 0 } };
      for (const [wanted, outcome] of [
        [ADMITTED.tcp, ARRIVED],
        [DENIED, 'to-pod drop-policy'],
      ] as const) {
        const { frame, offload, transport } = segmented('tcp', wanted, 20_000, fields);
        expect(offer(frame, offload, transport)).toBe(outcome);
      }
    });

    it(`headers outside of the linear part are read all the same (IPv${family})`, () => {
      const outcomes = scattered(family, port++).map(([name, frame]) => [name, offer(frame, { linear: 14 })]);
      expect(outcomes).toEqual(scattered(family, port++).map(([name, , outcome]) => [name, outcome]));
    });
  }
});

/** More than a page, so that the kernel puts everything behind the Ethernet header into fragments of the skb. */
const FILLING = Buffer.alloc(6_000, 9);

function scattered(
  family: Family,
  source: number,
): readonly (readonly [name: string, frame: Buffer, outcome: string])[] {
  const ip = (protocol: number, payload: Uint8Array, fields: Partial<Wrapped> = {}) =>
    ipFrameOf(ENDS, { family, protocol, payload: Buffer.concat([payload, FILLING]), ...fields });
  const neighbour = { family, v6: { hopLimit: 255 } } as const;
  const target = Buffer.from('fd680000000000000000000a00000001', 'hex');
  return [
    ['admitted TCP', ip(PROTOCOL.tcp, tcp(source, ADMITTED.tcp, 'S')), ARRIVED],
    ['denied TCP', ip(PROTOCOL.tcp, tcp(source, DENIED, 'S')), 'to-pod drop-policy'],
    ['admitted UDP', ip(PROTOCOL.udp, udp(source, ADMITTED.udp)), ARRIVED],
    ['denied UDP', ip(PROTOCOL.udp, udp(source, DENIED)), 'to-pod drop-policy'],
    [
      'a forged source',
      ip(PROTOCOL.tcp, tcp(source, ADMITTED.tcp, 'S'), { source: NODE.addresses[family] }),
      'from-pod drop-source',
    ],
    ['an echo reply', ip(family === 4 ? 1 : 58, icmp(family === 4 ? 0 : 129, 0)), 'to-pod drop-policy'],
    [
      'an ICMP error',
      ip(family === 4 ? 1 : 58, icmp(family === 4 ? 3 : 1, 0, 0, Buffer.alloc(64, 9))),
      'to-pod drop-unrelated',
    ],
    ['an unknown protocol', ip(253, Buffer.alloc(8)), 'to-pod drop-policy'],
    ['another EtherType', frameOf(ENDS, 0x88cc, FILLING), 'from-pod drop-ethertype'],
    ['a tag', frameOf(ENDS, 0x0800, FILLING, [[0x8100, 5]]), 'from-pod drop-vlan'],
    [
      'a forged ARP reply',
      Buffer.concat([arpFrame({ ...ENDS, sender: NODE.addresses[4], target: '10.68.10.3', operation: 2 }), FILLING]),
      'from-pod drop-arp',
    ],
    [
      'an own ARP reply',
      Buffer.concat([
        arpFrame({ ...ENDS, sender: ENDS.from.addresses[4], target: '10.68.10.3', operation: 2 }),
        FILLING,
      ]),
      ARRIVED,
    ],
    ...(family === 6
      ? ([
          ['a forged advertisement', ip(58, icmp(136, 0, 0, target), neighbour), 'from-pod drop-neighbour'],
          ['a router advertisement', ip(58, icmp(134, 0, 0), neighbour), 'from-pod drop-router'],
        ] as const)
      : []),
  ];
}
