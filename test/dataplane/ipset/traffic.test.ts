/** What the case table cannot ask: replies, errors, forged senders, tags, and what is counted. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Address, addressBytes } from '../../../src/model/address.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { checksum, ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import type { Question } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const web = { matchLabels: { app: 'web', tier: 'front' } };
const api = { matchLabels: { app: 'api' } };
const isolated = policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
const webToApi = [
  policy('shop/out', { podSelector: web, policyTypes: ['Egress'], egress: [{ to: [{ podSelector: api }] }] }),
  policy('shop/in', {
    podSelector: api,
    ingress: [{ from: [{ podSelector: web }], ports: [{ protocol: 'UDP', port: 53 }] }],
  }),
];

const WEB = { 4: '10.244.0.11', 6: 'fd00:10:244::11' } as Record<4 | 6, Address>;
const API = { 4: '10.244.0.12', 6: 'fd00:10:244::12' } as Record<4 | 6, Address>;
const STRANGER = { 4: '203.0.113.10', 6: '2001:db8:203::10' } as Record<4 | 6, Address>;
const FAMILIES = [4, 6] as const;

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode;
    let seats: { readonly web: number; readonly api: number; readonly other: number };

    let client = 4000;

    beforeAll(async () => {
      node = await EnforcedNode.open('traffic', { variant });
    });

    beforeEach(async () => {
      await node.apply([...cast, isolated, ...webToApi]);
      const seatOf = (pod: string) => node.packets.seatOf(pod as never);
      seats = { web: seatOf('shop/web'), api: seatOf('shop/api'), other: seatOf('audit/web') };
      // No connection of the test before is known by it.
      client += 10;
    });

    afterAll(() => node?.close());

    const request = (family: 4 | 6) => ipFrame(WEB[family], API[family], 17, udpHeader(client, 53));
    const reply = (family: 4 | 6) => ipFrame(API[family], WEB[family], 17, udpHeader(53, client));

    for (const family of FAMILIES) {
      it(`pass requests, and replies to them, as long as the policy admits the requests (IPv${family})`, async () => {
        const { web, api } = seats;
        expect(node.packets.passes(reply(family), api, web)).toBe(false);
        expect(node.packets.passes(request(family), web, api)).toBe(true);
        expect(node.packets.passes(reply(family), api, web)).toBe(true);
        expect(node.packets.passes(request(family), web, api)).toBe(true);
        await node.apply([...cast, isolated]);
        expect(node.packets.passes(request(family), web, api)).toBe(false);
        expect(node.packets.passes(reply(family), api, web)).toBe(false);
        await node.apply([...cast, isolated, ...webToApi]);
        expect(node.packets.passes(reply(family), api, web)).toBe(true);
        expect(node.packets.passes(request(family), web, api)).toBe(true);
      });

      it(`pass ICMP errors of admitted connections, in both directions (IPv${family})`, () => {
        const { web, api } = seats;
        const about = (frame: Buffer, from: Address, to: Address) => icmpError(family, frame, from, to);
        const aboutRequest = about(request(family), API[family], WEB[family]);
        const aboutReply = about(reply(family), WEB[family], API[family]);
        expect(node.packets.passes(aboutRequest, api, web)).toBe(false);
        node.packets.passes(request(family), web, api);
        node.packets.passes(reply(family), api, web);
        expect(node.packets.passes(aboutRequest, api, web)).toBe(true);
        expect(node.packets.passes(aboutReply, web, api)).toBe(true);
      });

      it(`let a pod reach itself through a Service (IPv${family})`, () => {
        const { web } = seats;
        node.packets.command('ip', 'link', 'set', `seat${web}`, 'type', 'bridge_slave', 'hairpin', 'on');
        const own = ipFrame(WEB[family], WEB[family], 17, udpHeader(client, 8080));
        expect(node.packets.passes(own, web, web)).toBe(true);
      });

      it(`drop what a pod sends from addresses that are not its own (IPv${family})`, () => {
        const { web, api, other } = seats;
        const forged = ipFrame(WEB[family], API[family], 17, udpHeader(client + 1, 53));
        expect(node.packets.passes(forged, other, api)).toBe(false);
        expect(node.packets.passes(forged, web, api)).toBe(true);
        const uplink = node.packets.exit.ifindex;
        const nobody = ipFrame(STRANGER[family], STRANGER[family], 17, udpHeader(client + 1, 53));
        expect(node.packets.passes(nobody, other, uplink)).toBe(false);
        expect(node.packets.passes(nobody, uplink, other)).toBe(true);
      });

      it(`drop tagged frames of pods, once and twice (IPv${family})`, () => {
        const { web, api } = seats;
        for (const tags of [['81000007'], ['88a80007', '81000008']]) {
          expect(node.packets.passes(tagged(request(family), tags), web, api)).toBe(false);
        }
        expect(node.packets.passes(request(family), web, api)).toBe(true);
      });

      it(`drop what the bridge would hand to an isolated pod although it is for others (IPv${family})`, () => {
        const { web, api, other } = seats;
        const everybody = (family === 4 ? '255.255.255.255' : 'ff02::1') as Address;
        const frame = ipFrame(WEB[family], everybody, 17, udpHeader(client + 2, 5353));
        expect(node.packets.passes(frame, web, api)).toBe(false);
        const fromOther = family === 4 ? '10.244.0.15' : 'fd00:10:244::15';
        const toOther = ipFrame(fromOther as Address, everybody, 17, udpHeader(client + 2, 5353));
        expect(node.packets.passes(toOther, other, node.packets.exit.ifindex)).toBe(true);
      });
    }

    it('let pods ask for neighbours’ addresses and answer for their own only', () => {
      const { web, api, other } = seats;
      expect(node.packets.passes(arp(WEB[4], API[4]), web, api)).toBe(true);
      expect(node.packets.passes(arp(WEB[4], API[4]), other, api)).toBe(false);
      const solicitation = neighbour(135, WEB[6], 'ff02::1:ff00:12' as Address, API[6]);
      expect(node.packets.passes(solicitation, web, api)).toBe(true);
      expect(node.packets.passes(neighbour(136, API[6], WEB[6], API[6]), api, web)).toBe(true);
      expect(node.packets.passes(neighbour(136, API[6], WEB[6], STRANGER[6]), api, web)).toBe(false);
      expect(node.packets.passes(neighbour(134, API[6], WEB[6], API[6]), api, web)).toBe(false);
    });

    it('count what each rule admitted and what the isolating policies dropped', async () => {
      await node.restart();
      await node.apply([...cast, isolated, ...webToApi]);
      const ask = (port: number): Question => ({
        from: 'shop/web',
        to: 'shop/api',
        family: 'IPv4',
        protocol: 'UDP',
        port,
      });
      for (const port of [53, 53, 54]) node.passes(ask(port));
      // Written anew on either side, whereby the kernel forgets its counts.
      for (let times = 0; times < 3; times++) {
        await node.apply([...cast, isolated, ...webToApi, policy(`shop/x${times}`, { podSelector: api })]);
      }
      node.passes(ask(53));
      const counts = await node.dataplane.counts();
      const found = counts.filter(({ packets }) => packets > 0n).map(({ bytes, ...rest }) => rest);
      expect(found).toContainEqual({
        verdict: 'allow',
        rule: { policy: 'shop/in', direction: 'ingress', index: 0 },
        packets: 3n,
      });
      expect(found).toContainEqual({
        verdict: 'deny',
        direction: 'ingress',
        policies: ['shop/all', 'shop/in'],
        packets: 1n,
      });
      expect(found).toContainEqual({
        verdict: 'allow',
        rule: { policy: 'shop/out', direction: 'egress', index: 0 },
        packets: 4n,
      });
    });
  });
}

/** Destination unreachable or packet too big, about a frame that was sent. */
function icmpError(family: 4 | 6, frame: Buffer, from: Address, to: Address): Buffer {
  const about = frame.subarray(14);
  const header = Buffer.from(family === 4 ? [3, 3, 0, 0, 0, 0, 0, 0] : [2, 0, 0, 0, 0, 0, 5, 0]);
  const message = Buffer.concat([header, about]);
  if (family === 4) message.writeUInt16BE(checksum(message), 2);
  return ipFrame(from, to, family === 4 ? 1 : 58, message);
}

function tagged(frame: Buffer, tags: readonly string[]): Buffer {
  return Buffer.concat([frame.subarray(0, 12), Buffer.from(tags.join(''), 'hex'), frame.subarray(12)]);
}

function arp(sender: Address, target: Address): Buffer {
  const frame = Buffer.alloc(60);
  Buffer.from('08060001080006040001', 'hex').copy(frame, 12);
  frame.set(addressBytes(sender), 28);
  frame.set(addressBytes(target), 38);
  return frame;
}

/** Solicitation (135), advertisement (136) of a neighbour, or of a router (134). */
function neighbour(type: number, from: Address, to: Address, target: Address): Buffer {
  const message = Buffer.concat([Buffer.from([type, 0, 0, 0, 0x60, 0, 0, 0]), addressBytes(target)]);
  const frame = ipFrame(from, to, 58, message);
  frame[14 + 7] = 255;
  return frame;
}
