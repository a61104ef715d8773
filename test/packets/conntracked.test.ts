/** A node whose kernel tracks bridged connections, as with kube-proxy: what it puts together, and what it believes, helps nobody. */
import { netns } from 'selvedge-libbpf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { fragmentHeader, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { policy } from '../support/cases/case.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { parseFrame } from './reference-parser.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, DENIED, FAMILIES, type Family, guarding, PODS, type PodName } from './support/cast.ts';
import { ipFrameOf } from './support/wire.ts';

const ARRIVED = 'arrived';
const { guarded, ward } = PODS;
/** Bytes: of IPv6 the kernel puts together nothing that is smaller than its least MTU. */
const PIECE = 1240;

describeAsRoot('a node that tracks bridged connections', () => {
  let node: BridgeNode;
  let number = 20_000;
  beforeAll(async () => {
    node = await BridgeNode.open('tracked', { bridgeNetfilter: true });
    // A rule that asks for it makes the kernel track.
    netns.run(node.namespace, () => {
      for (const tables of ['iptables', 'ip6tables']) {
        runSync(tables, ['-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT']);
      }
    });
  });
  afterAll(() => node?.close());

  describe.each(FAMILIES)('by IPv%i', (family) => {
    const send = (from: PodName, to: PodName, protocol: number, payload: Uint8Array) =>
      node.offer(from, to, ipFrameOf({ from: PODS[from], to: PODS[to] }, { family, protocol, payload }));

    it('an admitted datagram arrives whole in whatever order its pieces are sent, another not at all', async () => {
      await node.apply(guarding());
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 0, 2],
      ]) {
        expect(received(family, ADMITTED.udp, order)).toEqual(datagramOf(number, ADMITTED.udp));
        expect(received(family, DENIED, order)).toEqual(Buffer.alloc(0));
      }
    });

    /** What arrives of the datagram once all its pieces were sent, put together: the kernel may cut it again or not. */
    function received(family: Family, port: number, order: readonly number[]): Buffer {
      const id = ++number;
      const pieces = [0, PIECE, 2 * PIECE].map((offset) => pieceOf(family, id, offset, datagramOf(id, port)));
      const listener = node.openSocket('ward');
      try {
        for (const index of order) node.socketOf('guarded').send(pieces[index] as Buffer);
        // Behind them on the same way.
        expect(send('guarded', 'ward', PROTOCOL.udp, udp(1, ADMITTED.udp))).toBe(ARRIVED);
        const found: Buffer[] = [];
        for (let frame = listener.receive(0); frame !== undefined; frame = listener.receive(0)) {
          const parsed = parseFrame(frame.data);
          if (parsed.kind !== 'datagram' || parsed.protocol !== PROTOCOL.udp) continue;
          // Of IPv6 under another identifier.
          if (parsed.fragment !== undefined) found.push(parsed.payload);
        }
        return Buffer.concat(found);
      } finally {
        listener.close();
      }
    }

    it('a request that was dropped on its way lets nothing back', async () => {
      // What conntrack has seen of it, it takes for a connection that `open` began.
      await node.apply(guarding('nothing'));
      const [source, port] = [++number, 80];
      expect(send('open', 'guarded', PROTOCOL.tcp, tcp(source, port, 'S'))).toBe('to-pod drop-policy');
      for (const flags of ['SA', 'A', 'FA']) {
        expect(send('guarded', 'open', PROTOCOL.tcp, tcp(port, source, flags))).toBe('to-pod drop-policy');
      }
      expect(send('open', 'guarded', PROTOCOL.udp, udp(source, port))).toBe('to-pod drop-policy');
      expect(send('guarded', 'open', PROTOCOL.udp, udp(port, source))).toBe('to-pod drop-policy');
    });

    it('a packet in mid-stream, which the kernel takes for the beginning, opens nothing', async () => {
      await node.apply(guarding('nothing'));
      const [source, port] = [++number, 80];
      for (const flags of ['A', 'A', 'SA', 'FA', 'R']) {
        expect(send('guarded', 'open', PROTOCOL.tcp, tcp(source, port, flags))).toBe('to-pod drop-policy');
        expect(send('open', 'guarded', PROTOCOL.tcp, tcp(port, source, flags))).toBe('to-pod drop-policy');
      }
    });

    it('a connection that was admitted once is no way back when policy no longer admits it', async () => {
      const ingress = policy('default/in', {
        podSelector: { matchLabels: { name: 'guarded' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ ports: [{ protocol: 'TCP', port: ADMITTED.tcp }] }],
      });
      await node.apply(ingress);
      const source = ++number;
      const asks = (flags: string) => send('open', 'guarded', PROTOCOL.tcp, tcp(source, ADMITTED.tcp, flags));
      const answers = (flags: string) => send('guarded', 'open', PROTOCOL.tcp, tcp(ADMITTED.tcp, source, flags));
      expect([asks('S'), answers('SA'), asks('A'), answers('A')]).toEqual(Array(4).fill(ARRIVED));
      expect(answers('S')).toBe('to-pod drop-policy');
      await node.apply(guarding('nothing'));
      expect(answers('A')).toMatch(/drop-policy$/);
      expect(asks('A')).toMatch(/drop-policy$/);
    });
  });
});

/** From a port of its own. */
function datagramOf(id: number, port: number): Buffer {
  const bytes = udp(id, port, 3 * PIECE - 16);
  for (let at = 8; at < bytes.length; at++) bytes[at] = at;
  return bytes;
}

function pieceOf(family: Family, id: number, offset: number, datagram: Buffer): Buffer {
  const payload = datagram.subarray(offset, offset + PIECE);
  const more = offset + PIECE < datagram.length;
  const ends = { from: guarded, to: ward };
  if (family === 4) {
    const v4 = { id, fragmentOffset: offset, moreFragments: more };
    return ipFrameOf(ends, { family, protocol: PROTOCOL.udp, payload, v4 });
  }
  const whole = Buffer.concat([fragmentHeader(PROTOCOL.udp, offset, more, id), payload]);
  return ipFrameOf(ends, { family, protocol: PROTOCOL.fragment, payload: whole });
}
