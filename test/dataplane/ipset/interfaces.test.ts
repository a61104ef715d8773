/** Interfaces that are special: unknown ones, those that hang on no bridge, and the node's own. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Address } from '../../../src/model/address.ts';
import { netlink, socket } from '../../../src/native.ts';
import { policy } from '../../support/cases/case.ts';
import { cast, NODE1 } from '../../support/cases/cast.ts';
import { ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import { PATIENCE } from '../../support/patience.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';
import { macOfPort } from './support/packet-node.ts';

const web = { matchLabels: { app: 'web', tier: 'front' } };
const isolated = policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });

const WEB = '10.244.0.11' as Address;
const API = '10.244.0.12' as Address;
const OTHER = '10.244.0.15' as Address;
const STRANGER = '203.0.113.10' as Address;
/** Milliseconds without anything, where nothing is to come. */
const SILENCE = 500;

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode;
    let seats: { readonly web: number; readonly api: number; readonly other: number };

    beforeEach(async () => {
      node = await EnforcedNode.open('interfaces', { variant });
      await node.apply([...cast, isolated]);
      const seatOf = (pod: string) => node.packets.seatOf(pod as never);
      seats = { web: seatOf('shop/web'), api: seatOf('shop/api'), other: seatOf('audit/web') };
    });

    afterEach(() => node?.close());

    it('close an interface of which nothing is known, at once', async () => {
      const unknown = node.packets.exit.ifindex - 1;
      const frame = ipFrame(STRANGER, API, 17, udpHeader(4003, 53));
      const open = ipFrame(STRANGER, OTHER, 17, udpHeader(4003, 53));
      expect(node.packets.passes(open, unknown, seats.other)).toBe(true);
      node.dataplane.guard(unknown);
      await node.dataplane.ready();
      expect(() => node.packets.passes(frame, unknown, seats.other, SILENCE)).toThrow('nothing comes from port');
    });

    it('copy what they drop to a group of NFLOG when there is one', async () => {
      await node.restart({ nflogGroup: 77 });
      await node.apply([...cast, isolated]);
      expect(node.packets.passes(ipFrame(WEB, API, 17, udpHeader(4000, 53)), seats.web, seats.api)).toBe(false);
      expect(node.packets.command(`iptables-${variant}-save`, '-t', 'mangle')).toMatch(
        /-m limit --limit 100\/sec --limit-burst 100 -j NFLOG --nflog-prefix "?policy:ingress:request:[0-9a-f]{14}"? --nflog-group 77 --nflog-size 128\n/,
      );
    });

    it('tie pods that hang on no bridge to their addresses too', async () => {
      const { web } = seats;
      const name = `seat${web}`;
      const own = NODE1.ipv4 as Address;
      node.packets.command('ip', 'link', 'set', name, 'nomaster');
      node.packets.command('ip', 'address', 'add', `${own}/32`, 'dev', name);
      node.packets.command('ip', 'route', 'add', '10.244.0.0/24', 'dev', name);
      await node.apply([...cast, isolated]);
      const listener = node.packets.namespace.run(() => {
        return socket.open({ family: 4, type: 'udp', bind: { address: own, port: 53 } });
      });
      const link = node.packets.namespace.run(() => netlink.links()).find((one) => one.name === name);
      for (const source of [API, WEB]) {
        const frame = ipFrame(source, own, 17, udpHeader(4005, 53));
        frame.set(Buffer.from((link?.mac ?? '').replaceAll(':', ''), 'hex'), 0);
        node.packets.put(frame, web);
      }
      expect(socket.receive(listener, PATIENCE)?.address).toBe(WEB);
      expect(socket.receive(listener, 0)).toBeUndefined();
      socket.close(listener);
      expect(await node.dataplane.damages()).toEqual([]);
    });

    for (const judgeOwnNode of [false, true]) {
      it(`${judgeOwnNode ? 'judge' : 'pass'} what a pod sends to its own node, as they are told`, async () => {
        await node.restart({ judgeOwnNode });
        const own = NODE1.ipv4 as Address;
        const blocks = [{ ipBlock: { cidr: `${own}/32` } }];
        const egress = [{ to: blocks, ports: [{ protocol: 'UDP' as const, port: 53 }] }];
        await node.apply([...cast, policy('shop/web', { podSelector: web, policyTypes: ['Egress'], egress })]);
        node.packets.command('ip', 'address', 'add', `${own}/32`, 'dev', 'cni0');
        node.packets.command('ip', 'route', 'add', '10.244.0.0/24', 'dev', 'cni0');
        const listen = (port: number) =>
          node.packets.namespace.run(() => socket.open({ family: 4, type: 'udp', bind: { address: own, port } }));
        const [admitted, denied] = [listen(53), listen(54)];
        const bridge = node.packets.namespace.run(() => netlink.links()).find(({ name }) => name === 'cni0');
        for (const port of [54, 53]) {
          const frame = ipFrame(WEB, own, 17, udpHeader(4004, port));
          frame.set(Buffer.from((bridge?.mac ?? '').replaceAll(':', ''), 'hex'), 0);
          frame.set(macOfPort(seats.web), 6);
          node.packets.put(frame, seats.web);
        }
        expect(socket.receive(admitted, PATIENCE)).toBeDefined();
        expect(socket.receive(denied, 0) === undefined).toBe(judgeOwnNode);
        for (const fd of [admitted, denied]) socket.close(fd);
      });
    }
  });
}
