// Replies pass, requests follow the policy in force: what the flow tables make of packets, in both families.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { BOTH, NOTHING, WITHOUT_EGRESS, WITHOUT_INGRESS } from './support/flow-states.ts';
import { PacketPath } from './support/packet-path.ts';
import { PLACES, port, RULESET } from './support/state.ts';
import { FAMILIES } from './support/traffic.ts';
import { DELIVERED, webAndApi } from './support/web-and-api.ts';

const { apiIngress, webEgress, webIngress } = RULESET;
const TICKS = 1000;

describeAsRoot('flows', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('flows');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const { t, toApi, toWeb, request, reply, connect } = webAndApi(() => path, family);

    it('replies of an admitted TCP connection pass where the replying side may begin nothing', () => {
      path.apply(BOTH);
      connect();
      expect(toWeb(reply('A'))).toBe(DELIVERED);
      expect(toWeb(t.tcp('api', 'web', [8080, 5001], 'A'))).toBe('to_pod POLICY');
      expect(toWeb(t.tcp('api', 'web', [8081, 5000], 'A'))).toBe('to_pod POLICY');
      expect(toWeb(t.tcp('db', 'web', [8080, 5000], 'A'))).toBe('from_pod SOURCE');
    });

    it('marks tell the next hook whether it is a reply', () => {
      path.apply(BOTH);
      connect();
      const from = (name: 'web' | 'api', packet: Uint8Array) => {
        const { slot, reply: isReply } = path.run('from_pod', { packet, ifindex: path.ifindex(name) });
        return { slot, isReply };
      };
      expect(from('web', request('A'))).toEqual({ slot: 1, isReply: false });
      expect(from('api', reply('A'))).toEqual({ slot: 2, isReply: true });
    });

    it('an opening packet is a request whatever the entry says', () => {
      path.apply(BOTH);
      connect();
      expect(toWeb(reply('S'))).toBe('to_pod POLICY');
      expect(toWeb(reply('SF'))).toBe('to_pod POLICY');
      expect(toWeb(reply('SR'))).toBe('to_pod POLICY');
    });

    it('a reply in mid-stream that two states deny, at another end each, does not pass between them', () => {
      path.apply(PLACES);
      connect();
      path.apply({ ...PLACES, endpoints: { web: { egress: webEgress } } });
      const left = path.run('from_pod', { packet: reply('A'), ifindex: path.ifindex('api') });
      const arriving = { packet: reply('A'), ifindex: path.ifindex('web'), mark: left.mark };
      expect(path.run('to_pod', arriving).reasons).toEqual(['POLICY']);
      const endpoints = { api: { ingress: apiIngress } };
      path.apply({ ...PLACES, endpoints });
      expect(path.run('to_pod', arriving).reasons).toEqual(['POLICY']);
      path.apply({ ...PLACES, endpoints, rows: [{ ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080)] }] });
      expect(path.run('to_pod', arriving).passed).toBe(true);
    });

    it('a reply that a queue has held is judged by its request, never as one of its own', () => {
      path.apply({ ...BOTH, endpoints: { ...BOTH.endpoints, web: { egress: webEgress } } });
      const datagram = t.udp('api', 'web', [53, 5002]);
      expect(toApi(t.udp('web', 'api', [5002, 53]))).toBe(DELIVERED);
      const left = path.run('from_pod', { packet: datagram, ifindex: path.ifindex('api') });
      expect(left.reply).toBe(true);
      const goOn = () => path.run('to_pod', { packet: datagram, ifindex: path.ifindex('web'), mark: left.mark });
      path.apply({ ...NOTHING, endpoints: { ...NOTHING.endpoints, web: { egress: webEgress } } });
      expect(goOn().reasons).toEqual(['POLICY']);
      path.apply(BOTH);
      expect(goOn().passed).toBe(true);
    });

    it.each([
      ['the sender may no longer send', WITHOUT_EGRESS, 'egress'],
      ['the receiver may no longer receive', WITHOUT_INGRESS, 'ingress'],
    ] as const)(
      'a connection stops at its next packet once %s, and goes on when it may again',
      (_, state, direction) => {
        path.apply(BOTH);
        connect();
        path.apply(state);
        expect(toApi(request('A'))).toBe('to_pod POLICY');
        const { events } = path.run('from_pod', { packet: reply('A'), ifindex: path.ifindex('api') });
        expect(events.map((event) => event.direction)).toEqual([path.number(`DIRECTION_${direction.toUpperCase()}`)]);
        path.apply(BOTH);
        expect(toApi(request('A'))).toBe(DELIVERED);
        expect(toWeb(reply('A'))).toBe(DELIVERED);
      },
    );

    it.each([
      ['sender', WITHOUT_EGRESS],
      ['receiver', WITHOUT_INGRESS],
    ] as const)('a peer that only streams replies is cut off too, by the %s', (_, state) => {
      path.apply(BOTH);
      connect();
      path.apply(state);
      expect(toWeb(reply('A'))).toBe('from_pod POLICY');
    });

    it('what is still admitted under a new generation is judged once and never notices', () => {
      path.apply(BOTH);
      connect();
      const before = path.flows('api', family)[0]?.value.judged;
      path.apply(BOTH);
      expect(toWeb(reply('A'))).toBe(DELIVERED);
      expect(toApi(request('A'))).toBe(DELIVERED);
      expect(path.flows('api', family)[0]?.value.judged).not.toBe(before);
    });

    it('isolating a pod keeps the connections that it opened itself', () => {
      path.apply(PLACES);
      connect();
      path.apply({ ...PLACES, endpoints: { web: { ingress: webIngress } } });
      expect(toWeb(reply('A'))).toBe(DELIVERED);
      expect(toWeb(t.tcp('api', 'web', [8080, 5001], 'A'))).toBe('to_pod POLICY');
    });

    it('even those that were silent for longer than the idle time while nothing was looked up', () => {
      path.apply(PLACES);
      connect();
      path.age('web', 90_000 * TICKS);
      path.apply({ ...PLACES, endpoints: { web: { ingress: webIngress } } });
      expect(toWeb(reply('A'))).toBe(DELIVERED);
      // From now on it ages.
      path.age('web', 90_000 * TICKS);
      expect(toWeb(reply('A'))).toBe('to_pod POLICY');
    });

    it('but not those that were never answered, nor closed ones', () => {
      path.apply(PLACES);
      expect(toApi(request('S'))).toBe(DELIVERED);
      path.age('web', 130 * TICKS);
      path.apply({ ...PLACES, endpoints: { web: { ingress: webIngress } } });
      expect(toWeb(reply('SA'))).toBe('to_pod POLICY');
      path.forgetFlows();
      path.apply(PLACES);
      connect();
      toApi(request('R'));
      path.age('web', 40 * TICKS);
      path.apply({ ...PLACES, endpoints: { web: { ingress: webIngress } } });
      expect(toWeb(reply('A'))).toBe('to_pod POLICY');
    });

    it('mid-stream TCP between pods under no policy looks nothing up', () => {
      path.apply(PLACES);
      expect(toApi(request('A'))).toBe(DELIVERED);
      expect([...path.flows('web', family), ...path.flows('api', family)]).toEqual([]);
    });

    it('a packet in mid-stream makes no entry and is judged as a request', () => {
      path.apply(BOTH);
      expect(toApi(request('A'))).toBe(DELIVERED);
      expect(toApi(request('FA'))).toBe(DELIVERED);
      expect(toApi(t.tcp('web', 'api', [5000, 8081], 'A'))).toBe('to_pod POLICY');
      expect([...path.flows('web', family), ...path.flows('api', family)]).toEqual([]);
    });

    it.each([
      ['a denied request', NOTHING, 0],
      ['an admitted one', BOTH, 1],
    ] as const)('%s makes its entry at the receiver only when admitted', (_, state, entries) => {
      path.apply(state);
      toApi(request('S'));
      expect(path.flows('web', family)).toHaveLength(1);
      expect(path.flows('api', family)).toHaveLength(entries);
    });

    it('a denied opening opens nothing for the way back', () => {
      path.apply(WITHOUT_INGRESS);
      expect(toApi(request('S'))).toBe('to_pod POLICY');
      expect(toWeb(reply('SA'))).toBe('to_pod POLICY');
    });

    it('FIN from both sides or RST closes: short-lived, and no SYN passes by it', () => {
      path.apply(BOTH);
      connect();
      const state = () => path.flows('api', family)[0]?.value.state;
      expect(state()).toBe(path.number('FLOW_ESTABLISHED'));
      expect(toApi(request('FA'))).toBe(DELIVERED);
      expect(state()).toBe(path.number('FLOW_CLOSING'));
      expect(toWeb(reply('FA'))).toBe(DELIVERED);
      expect(state()).toBe(path.number('FLOW_CLOSED'));
      expect(toApi(request('A'))).toBe(DELIVERED);
      path.age('web', 40 * TICKS);
      path.age('api', 40 * TICKS);
      expect(toWeb(reply('A'))).toBe('to_pod POLICY');
      path.apply(NOTHING);
      expect(toApi(request('S'))).toBe('to_pod POLICY');
    });

    it('an opening packet begins a closed connection anew', () => {
      path.apply(BOTH);
      connect();
      toApi(request('R'));
      expect(path.flows('api', family)[0]?.value.state).toBe(path.number('FLOW_CLOSED'));
      connect();
      expect(path.flows('api', family)[0]?.value.state).toBe(path.number('FLOW_ESTABLISHED'));
      expect(path.flows('api', family)[0]?.value.fins).toBe(0);
    });

    it.each([
      ['opening', 130],
      ['established', 90_000],
    ] as const)('an %s TCP entry that was idle for too long counts as absent', (state, seconds) => {
      path.apply(BOTH);
      if (state === 'opening') expect(toApi(request('S'))).toBe(DELIVERED);
      else connect();
      path.age('web', seconds * TICKS);
      path.age('api', seconds * TICKS);
      expect(toWeb(reply('SA'))).toBe('to_pod POLICY');
      expect(toApi(request('S'))).toBe(DELIVERED);
      expect(toWeb(reply('SA'))).toBe(DELIVERED);
    });
  });
});
