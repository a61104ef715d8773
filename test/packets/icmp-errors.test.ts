/** ICMP errors: one about a flow that policy admitted passes; one with anything forged inside is about no flow. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fragmentHeader, icmp, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, DENIED, FAMILIES, type Family, guarding, NODE, PODS, type PodName } from './support/cast.ts';
import { type Ends, ipFrameOf, packetOf, type Wrapped } from './support/wire.ts';

const ARRIVED = 'arrived';
const UNRELATED = 'to-pod drop-unrelated';
const POLICY = 'to-pod drop-policy';

/** `guarded` has asked `ward`, from a port of its own. */
const REQUEST: Ends = { from: PODS.guarded, to: PODS.ward };

interface Sent {
  readonly from: PodName;
  readonly to: PodName;
  /** What the error is about. */
  readonly about: Uint8Array;
  readonly type?: number;
  readonly code?: number;
}

describeAsRoot('ICMP errors', () => {
  let node: BridgeNode;
  let port = 30_000;
  beforeAll(async () => {
    node = await BridgeNode.open('icmp');
    await node.apply(guarding());
  });
  afterAll(() => node?.close());

  /** Unreachable: of IPv4 with the MTU, of IPv6 by policy. */
  function send(family: Family, { from, to, about, type = family === 4 ? 3 : 1, code = family === 4 ? 4 : 1 }: Sent) {
    const protocol = family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
    const ends = { from: PODS[from], to: PODS[to] };
    return node.offer(from, to, ipFrameOf(ends, { family, protocol, payload: icmp(type, code, 1400, about) }));
  }

  function request(family: Family, wrapped: Omit<Wrapped, 'family'>, ends = REQUEST): Buffer {
    return packetOf(ends, { family, ...wrapped });
  }

  /** Opens a connection and gives the packet that opened it. */
  function opened(family: Family, protocol: 'tcp' | 'udp' = 'tcp', ends = REQUEST): Buffer {
    const payload = protocol === 'tcp' ? tcp(port++, ADMITTED.tcp, 'S') : udp(port++, ADMITTED.udp);
    const packet = { family, protocol: PROTOCOL[protocol], payload };
    expect(node.offer(ends.from.name as PodName, ends.to.name as PodName, ipFrameOf(ends, packet))).toBe(ARRIVED);
    return packetOf(ends, packet);
  }

  for (const family of FAMILIES) {
    const errors = family === 4 ? [3, 4, 11, 12] : [1, 2, 3, 4];
    const back = { from: 'ward', to: 'guarded' } as const;
    const there = { from: 'guarded', to: 'ward' } as const;

    it(`IPv${family}: about an admitted flow pass, back to who asked and on to who was asked`, () => {
      for (const protocol of ['tcp', 'udp'] as const) {
        const about = opened(family, protocol);
        for (const type of errors) expect(send(family, { ...back, about, type })).toBe(ARRIVED);
        const answer = { from: PODS.ward, to: PODS.guarded };
        const swapped = Buffer.from(about.subarray(about.length - (protocol === 'tcp' ? 20 : 16)));
        const [source, destination] = [swapped.readUInt16BE(0), swapped.readUInt16BE(2)];
        swapped.writeUInt16BE(destination, 0);
        swapped.writeUInt16BE(source, 2);
        const quoted = packetOf(answer, { family, protocol: PROTOCOL[protocol], payload: swapped });
        for (const type of errors) expect(send(family, { ...there, about: quoted, type })).toBe(ARRIVED);
      }
    });

    it(`IPv${family}: quoting no more than eight bytes of the transport header are enough, fewer are not`, () => {
      const about = opened(family);
      const header = family === 4 ? 20 : 40;
      expect(send(family, { ...back, about: about.subarray(0, header + 8) })).toBe(ARRIVED);
      for (let length = 0; length < header + 8; length++) {
        expect(`${length} ${send(family, { ...back, about: about.subarray(0, length) })}`).toBe(
          `${length} ${UNRELATED}`,
        );
      }
    });

    it(`IPv${family}: quoting a flow behind the end of the packet are about none`, () => {
      const about = opened(family);
      const [protocol, type] = family === 4 ? [PROTOCOL.icmp, 3] : [PROTOCOL.icmpv6, 1];
      const ends = { from: PODS.ward, to: PODS.guarded };
      const header = family === 4 ? 20 : 40;
      for (const length of [8, 8 + header, 8 + header + 7]) {
        const lie = { v4: { totalLength: 20 + length }, v6: { payloadLength: length } };
        const frame = ipFrameOf(ends, { family, protocol, payload: icmp(type, 1, 0, about), ...lie });
        expect(`${length} ${node.offer('ward', 'guarded', frame)}`).toBe(`${length} ${UNRELATED}`);
      }
    });

    it(`IPv${family}: about no flow are not admitted`, () => {
      const about = opened(family);
      const ports = tcp(port, ADMITTED.tcp, 'S');
      const others: Readonly<Record<string, Uint8Array>> = {
        'another source port': request(family, { protocol: PROTOCOL.tcp, payload: ports }),
        'a denied port': request(family, { protocol: PROTOCOL.tcp, payload: tcp(port, DENIED, 'S') }),
        'another protocol': request(family, { protocol: PROTOCOL.udp, payload: about.subarray(-20) }),
        "a neighbour's packet": request(
          family,
          { protocol: PROTOCOL.tcp, payload: about.subarray(-20) },
          { from: PODS.free, to: PODS.ward },
        ),
        "the gateway's packet": request(family, {
          protocol: PROTOCOL.tcp,
          payload: about.subarray(-20),
          source: NODE.addresses[family],
        }),
        'a packet to somebody else': request(family, {
          protocol: PROTOCOL.tcp,
          payload: about.subarray(-20),
          destination: NODE.addresses[family],
        }),
        'another error': request(family, {
          protocol: family === 4 ? 1 : 58,
          payload: icmp(errors[0] as number, 0, 0, about),
        }),
        'no packet': Buffer.alloc(0),
        'a packet of another version': versioned(about, 7),
        rubbish: Buffer.alloc(64, 0xff),
      };
      const outcomes = Object.entries(others).map(([name, quoted]) => [name, send(family, { ...back, about: quoted })]);
      expect(outcomes).toEqual(Object.keys(others).map((name) => [name, UNRELATED]));
    });

    it(`IPv${family}: about a later fragment of an admitted flow are about none`, () => {
      const payload = opened(family).subarray(-20);
      const quoted =
        family === 4
          ? request(family, { protocol: PROTOCOL.tcp, payload, v4: { id: 9, fragmentOffset: 64 } })
          : request(family, {
              protocol: PROTOCOL.fragment,
              payload: Buffer.concat([fragmentHeader(PROTOCOL.tcp, 64, false, 9), payload]),
            });
      expect(send(family, { ...back, about: quoted })).toBe(UNRELATED);
    });

    it(`IPv${family}: from a third pod about a flow that is not its own are not admitted`, () => {
      const about = opened(family);
      expect(send(family, { from: 'open', to: 'guarded', about })).toBe(UNRELATED);
      expect(send(family, { from: 'open', to: 'ward', about })).toBe(UNRELATED);
      expect(send(family, { from: 'guarded', to: 'free', about })).toBe(UNRELATED);
    });

    it(`IPv${family}: about a flow that policy has stopped admitting are about none`, async () => {
      const about = opened(family);
      await node.apply(guarding('nothing'));
      expect(send(family, { ...back, about })).toBe(UNRELATED);
      await node.apply(guarding());
      expect(send(family, { ...back, about })).toBe(ARRIVED);
    });

    it(`IPv${family}: what is no error is judged as itself, whatever it quotes`, () => {
      const about = opened(family);
      const types =
        family === 4 ? [0, 1, 2, 5, 6, 8, 9, 10, 13, 17, 30, 255] : [0, 5, 99, 100, 127, 138, 139, 200, 255];
      for (const type of types) expect(`${type} ${send(family, { ...back, about, type })}`).toBe(`${type} ${POLICY}`);
    });

    it(`IPv${family}: nothing hinders them between pods under no policy`, () => {
      expect(send(family, { from: 'open', to: 'free', about: Buffer.alloc(64, 0xff) })).toBe(ARRIVED);
    });
  }
});

function versioned(packet: Uint8Array, version: number): Buffer {
  const changed = Buffer.from(packet);
  changed[0] = (version << 4) | ((changed[0] as number) & 0xf);
  return changed;
}
