/** What this data plane does otherwise than BPF, as the table of docs/semantics.md says: no case of policy is among it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Address } from '../../../src/model/address.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { checksum, ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const WEB = '10.244.0.11' as Address;
const API = '10.244.0.12' as Address;
const api = { matchLabels: { app: 'api' } };
const fromWeb = [{ podSelector: { matchLabels: { app: 'web' } } }];
const onPort53 = policy('shop/api', {
  podSelector: api,
  ingress: [{ from: fromWeb, ports: [{ protocol: 'UDP', port: 53 }] }],
});
const everything = policy('shop/api', { podSelector: api, ingress: [{ from: fromWeb }] });

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode;
    const seats = () => ['shop/web', 'shop/api'].map((pod) => node.packets.seatOf(pod as never)) as [number, number];

    beforeAll(async () => {
      node = await EnforcedNode.open('differences', { variant });
      await node.apply(cast);
    });

    afterAll(() => node?.close());

    it('admit a source route that BPF drops, where the policy admits the packet', async () => {
      await node.apply([...cast, onPort53]);
      const routed = withOption(ipFrame(WEB, API, 17, udpHeader(4000, 53)), Buffer.from([131, 7, 4, 10, 0, 0, 9, 0]));
      const denied = withOption(ipFrame(WEB, API, 17, udpHeader(4000, 54)), Buffer.from([131, 7, 4, 10, 0, 0, 9, 0]));
      expect(node.packets.passes(routed, ...seats())).toBe(true);
      expect(node.packets.passes(denied, ...seats())).toBe(false);
    });

    it('put fragments together before they judge, in whatever order they come', async () => {
      await node.apply([...cast, onPort53]);
      for (const [port, passes] of [
        [53, true],
        [54, false],
      ] as const) {
        const whole = ipFrame(WEB, API, 17, Buffer.concat([udpHeader(4100, port, 24), Buffer.alloc(24, 7)]));
        const [first, second] = fragments(whole, port);
        const [web, seat] = seats();
        expect(node.packets.passes(second, web, seat)).toBe(false);
        expect(node.packets.passes(first, web, seat), `port ${port}`).toBe(passes);
      }
    });

    it('admit a header cut short, where a rule admits every port', async () => {
      await node.apply([...cast, everything]);
      const short = ipFrame(WEB, API, 6, Buffer.from([0x10, 0, 0, 80, 0, 0, 0, 1]));
      const admitted = node.packets.passes(short, ...seats());
      await node.apply([...cast, onPort53]);
      expect([admitted, node.packets.passes(short, ...seats())]).toEqual([true, false]);
    });
  });
}

/** A frame with an IPv4 option more. */
function withOption(frame: Buffer, option: Buffer): Buffer {
  const packet = Buffer.concat([frame.subarray(0, 34), option, frame.subarray(34)]);
  packet.writeUInt8(0x45 + option.length / 4, 14);
  packet.writeUInt16BE(packet.length - 14, 16);
  return summed(packet);
}

/** Its first 8 bytes behind the IP header, and the rest. */
function fragments(frame: Buffer, id: number): [Buffer, Buffer] {
  return [0, 8].map((offset) => {
    const data = frame.subarray(34 + offset, offset === 0 ? 42 : undefined);
    const part = Buffer.concat([frame.subarray(0, 34), data]);
    part.writeUInt16BE(part.length - 14, 16);
    part.writeUInt16BE(id, 18);
    part.writeUInt16BE((offset === 0 ? 0x2000 : 0) | (offset / 8), 20);
    return summed(part);
  }) as [Buffer, Buffer];
}

function summed(frame: Buffer): Buffer {
  frame.writeUInt16BE(0, 24);
  frame.writeUInt16BE(checksum(frame.subarray(14, 14 + 4 * ((frame[14] as number) & 15))), 24);
  return frame;
}
