/** Every dropped packet is told of, with pod, policies and reason as the BPF data plane has them. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { packetEnds } from '../../../src/dataplane/ipset/packet-ends.ts';
import { type Address, addressBytes } from '../../../src/model/address.ts';
import type { VerdictEvent } from '../../../src/model/verdict-event.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';
import { macOfPort } from './support/packet-node.ts';

const WEB = { 4: '10.244.0.11', 6: 'fd00:10:244::11' } as Record<4 | 6, Address>;
const API = { 4: '10.244.0.12', 6: 'fd00:10:244::12' } as Record<4 | 6, Address>;
const STRANGER = { 4: '203.0.113.10', 6: '2001:db8:203::10' } as Record<4 | 6, Address>;
const api = { matchLabels: { app: 'api' } };
const web = { matchLabels: { app: 'web', tier: 'front' } };
const ingress = [policy('shop/api', { podSelector: api }), policy('shop/back', { podSelector: api })];
const admitting = [policy('shop/api', { podSelector: api, ingress: [{}] })];
const egress = [policy('shop/web', { podSelector: web, policyTypes: ['Egress'] })];

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode;
    let seats: { readonly web: number; readonly api: number };
    let events: VerdictEvent[];
    let waiting: () => void;

    beforeEach(async () => {
      events = [];
      waiting = () => {};
      const onEvent = (event: VerdictEvent) => {
        events.push(event);
        waiting();
      };
      node = await EnforcedNode.open('events', { variant, onEvent });
      await node.apply([...cast, ...ingress]);
      const seatOf = (pod: string) => node.packets.seatOf(pod as never);
      seats = { web: seatOf('shop/web'), api: seatOf('shop/api') };
    });

    afterEach(() => node?.close());

    /** Resolves with the events once there are as many. */
    const until = (count: number) =>
      new Promise<VerdictEvent[]>((resolve) => {
        waiting = () => events.length >= count && resolve(events);
        waiting();
      });

    for (const family of [4, 6] as const) {
      it(`name the pod and the policies that isolate it, at either end (IPv${family})`, async () => {
        const frame = ipFrame(WEB[family], API[family], 17, udpHeader(4000, 53));
        const ends = { source: WEB[family], destination: API[family], sourcePort: 4000, destinationPort: 53 };
        const common = { ...ends, verdict: 'deny', reason: 'drop-policy', protocol: 17, length: frame.length };
        const before = process.hrtime.bigint();
        expect(node.packets.passes(frame, seats.web, seats.api)).toBe(false);
        const [first] = await until(1);
        expect(first).toMatchObject({
          ...common,
          direction: 'ingress',
          hook: 'to-pod',
          ethertype: family === 4 ? 0x0800 : 0x86dd,
          ifindex: seats.api,
          pod: 'shop/api',
          policies: ['shop/api', 'shop/back'],
        });
        expect(first?.time).toBeGreaterThan(before);
        expect(first?.generation).toBe(node.dataplane.generation);

        await node.apply([...cast, ...egress]);
        expect(node.packets.passes(frame, seats.web, seats.api)).toBe(false);
        const [, second] = await until(2);
        expect(second).toMatchObject({
          ...common,
          direction: 'egress',
          ifindex: seats.web,
          pod: 'shop/web',
          policies: ['shop/web'],
        });
      });
    }

    it('name a reply’s drop by the pod that was asked', async () => {
      await node.apply([...cast, ...admitting]);
      expect(node.packets.passes(ipFrame(WEB[4], API[4], 17, udpHeader(4001, 53)), seats.web, seats.api)).toBe(true);
      await node.apply([...cast, ...ingress]);
      expect(node.packets.passes(ipFrame(API[4], WEB[4], 17, udpHeader(53, 4001)), seats.api, seats.web)).toBe(false);
      const [event] = await until(1);
      expect(event).toMatchObject({ direction: 'ingress', pod: 'shop/api', source: API[4], destination: WEB[4] });
    });

    it('are so many in a second, and how many are left out is known', async () => {
      const frame = ipFrame(WEB[4], API[4], 17, udpHeader(4000, 53));
      macOfPort(seats.api).copy(frame, 0);
      macOfPort(seats.web).copy(frame, 6);
      for (let i = 0; i < 999; i++) node.packets.put(frame, seats.web);
      expect(node.packets.passes(frame, seats.web, seats.api)).toBe(false);
      const { limited: leftOut } = await node.dataplane.observation.losses();
      expect(leftOut).toBeGreaterThan(0);
      expect(await until(1000 - leftOut)).toHaveLength(1000 - leftOut);
      expect(await node.dataplane.counts()).toMatchObject([{ verdict: 'deny', packets: 1000n }]);
    });

    it('give the reasons of what no policy decides', async () => {
      const forged = ipFrame(STRANGER[4], API[4], 17, udpHeader(4000, 53));
      const tagged = Buffer.concat([forged.subarray(0, 12), Buffer.from('81000007', 'hex'), forged.subarray(12)]);
      const arp = Buffer.alloc(60);
      Buffer.from('08060001080006040001', 'hex').copy(arp, 12);
      arp.set(addressBytes(API[4]), 28);
      const stray = ipFrame(WEB[4], STRANGER[4], 17, udpHeader(4000, 53));
      for (const frame of [forged, tagged, arp, stray]) node.packets.passes(frame, seats.web, seats.api);
      const told = (await until(4)).map(({ reason, direction, hook, ifindex, pod }) => {
        return { reason, direction, hook, ifindex, pod };
      });
      const fromWeb = { direction: 'egress', hook: 'from-pod', ifindex: seats.web, pod: 'shop/web' };
      expect(told).toEqual([
        { reason: 'drop-source', ...fromWeb },
        { reason: 'drop-vlan', ...fromWeb },
        { reason: 'drop-arp', ...fromWeb },
        { reason: 'drop-destination', direction: 'ingress', hook: 'to-pod', ifindex: seats.api, pod: 'shop/api' },
      ]);
      expect(events[0]).toMatchObject({ source: STRANGER[4], destination: API[4], destinationPort: 53 });
      expect(await node.dataplane.damages()).toEqual([]);
    });
  });
}

it('ends are read as far as they go', () => {
  const full = ipFrame(WEB[4], API[4], 17, udpHeader(7, 9)).subarray(14);
  expect(packetEnds(full)).toMatchObject({ source: WEB[4], destination: API[4], sourcePort: 7, destinationPort: 9 });
  expect(packetEnds(full.subarray(0, 22))).toMatchObject({ source: WEB[4], sourcePort: 0 });
  expect(packetEnds(full.subarray(0, 10))).toMatchObject({ sourcePort: 0, protocol: 0, length: 10 });
  expect(packetEnds(Buffer.alloc(0))).toMatchObject({ length: 0 });
  const later = Buffer.from(full);
  later.writeUInt16BE(1, 6);
  expect(packetEnds(later)).toMatchObject({ sourcePort: 0, destinationPort: 0, protocol: 17 });
  const six = ipFrame(WEB[6], API[6], 0, Buffer.concat([Buffer.from([17, 0, 1, 4, 0, 0, 0, 0]), udpHeader(7, 9)]));
  expect(packetEnds(six.subarray(14))).toMatchObject({ source: WEB[6], protocol: 17, destinationPort: 9 });
});
