// What the flow tables make of other protocols than TCP, of ways out of the node, of Services and masquerades.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { BOTH, NOTHING, WITHOUT_EGRESS } from './support/flow-states.ts';
import { CHUNK } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { everything, PLACES, port, RULESET, type State } from './support/state.ts';
import { FAMILIES } from './support/traffic.ts';
import { DELIVERED, webAndApi } from './support/web-and-api.ts';

const { apiIngress, apiEgress, webEgress, webIngress } = RULESET;
const TICKS = 1000;

describeAsRoot('other flows', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('flows2');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  const out = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'outside' });
  const back = (frame: Uint8Array) => travel(path, { frame, from: 'outside', to: 'web' });

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const { t, toApi, toWeb, request, reply, connect } = webAndApi(() => path, family);

    it('UDP opens by its first packet; both directions pass until it was idle for too long', () => {
      path.apply(BOTH);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe('to_pod POLICY');
      path.forgetFlows();
      expect(toApi(t.udp('web', 'api', [6000, 53]))).toBe(DELIVERED);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe(DELIVERED);
      path.age('web', 100 * TICKS);
      path.age('api', 100 * TICKS);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe(DELIVERED);
      path.age('web', 200 * TICKS);
      path.age('api', 200 * TICKS);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe('to_pod POLICY');
    });

    it('UDP that the server was refused to begin does not stand in the way of its clients', () => {
      path.apply(BOTH);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe('to_pod POLICY');
      expect(toApi(t.udp('web', 'api', [6000, 53]))).toBe(DELIVERED);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe(DELIVERED);
      path.apply(NOTHING);
      expect(toWeb(t.udp('api', 'web', [53, 6000]))).toBe('from_pod POLICY');
      expect(toApi(t.udp('web', 'api', [6000, 53]))).toBe('to_pod POLICY');
    });

    it('UDP and SCTP of a pod under no policy are idle after the same time: all their packets are looked at', () => {
      const isolated = { ...PLACES, endpoints: { web: { ingress: webIngress } } };
      const exchanges = [
        { request: t.udp('web', 'api', [6000, 53]), answer: t.udp('api', 'web', [53, 6000]) },
        {
          request: t.sctp('web', 'api', [7000, 9], CHUNK.init),
          answer: t.sctp('api', 'web', [9, 7000], CHUNK.initAck),
        },
      ];
      for (const { request, answer } of exchanges) {
        path.apply(PLACES);
        for (let round = 0; round < 2; round++) {
          expect(toApi(request)).toBe(DELIVERED);
          expect(toWeb(answer)).toBe(DELIVERED);
        }
        path.apply(isolated);
        expect(toWeb(answer)).toBe(DELIVERED);
        path.apply(PLACES);
        expect(toWeb(answer)).toBe(DELIVERED);
        path.age('web', 90_000 * TICKS);
        path.apply(isolated);
        expect(toWeb(answer)).toBe('to_pod POLICY');
      }
    });

    it('SCTP opens by INIT alone', () => {
      path.apply(BOTH);
      expect(toApi(t.sctp('web', 'api', [7000, 9], CHUNK.data))).toBe(DELIVERED);
      expect(path.flows('api', family)).toEqual([]);
      expect(toWeb(t.sctp('api', 'web', [9, 7000], CHUNK.initAck))).toBe('to_pod POLICY');
      expect(toApi(t.sctp('web', 'api', [7000, 9], CHUNK.init))).toBe(DELIVERED);
      expect(toWeb(t.sctp('api', 'web', [9, 7000], CHUNK.initAck))).toBe(DELIVERED);
      expect(toWeb(t.sctp('api', 'web', [9, 7000], CHUNK.init))).toBe('to_pod POLICY');
      expect(toApi(t.sctp('web', 'api', [7000, 9], CHUNK.abort))).toBe(DELIVERED);
      expect(path.flows('api', family)[0]?.value.state).toBe(path.number('FLOW_CLOSED'));
    });

    it('echo requests and replies are told apart, also with the same identifier both ways', () => {
      const ping: State = {
        ...BOTH,
        rows: [
          { ruleset: webEgress, peer: 'api', ports: everything() },
          { ruleset: apiIngress, peer: 'web', ports: everything() },
        ],
      };
      path.apply(ping);
      expect(toWeb(t.echoReply('api', 'web', 7))).toBe('to_pod POLICY');
      expect(toApi(t.echoRequest('web', 'api', 7))).toBe(DELIVERED);
      expect(toApi(t.echoRequest('web', 'api', 7))).toBe(DELIVERED);
      expect(toWeb(t.echoReply('api', 'web', 7))).toBe(DELIVERED);
      expect(toWeb(t.echoReply('api', 'web', 8))).toBe('to_pod POLICY');
      expect(toWeb(t.echoRequest('api', 'web', 7))).toBe('to_pod POLICY');
      // One that api was asked, one that it asked itself.
      expect(path.flows('api', family)).toHaveLength(2);
      path.apply(NOTHING);
      expect(toWeb(t.echoReply('api', 'web', 7))).toBe('from_pod POLICY');
    });

    it('rules with ports admit no echo request', () => {
      path.apply(BOTH);
      expect(toApi(t.echoRequest('web', 'api', 7))).toBe('to_pod POLICY');
    });

    it('requests that leave the node are judged there, replies where they arrive', () => {
      const egress: State = { ...PLACES, endpoints: { web: { egress: webEgress, ingress: webIngress } } };
      const admit: State = { ...egress, rows: [{ ruleset: webEgress, peer: 'block', ports: [port('tcp', 443)] }] };
      path.apply(admit);
      const there = (flags: string) => t.tcp('web', 'block', [5000, 443], flags);
      const here = (flags: string) => t.tcp('block', 'web', [443, 5000], flags);
      expect(out(there('S'))).toBe(DELIVERED);
      expect(back(here('SA'))).toBe(DELIVERED);
      expect(out(there('A'))).toBe(DELIVERED);
      expect(out(t.tcp('web', 'block', [5000, 444], 'S'))).toBe('to_node POLICY');
      expect(out(t.tcp('web', 'world', [5000, 443], 'S'))).toBe('to_node POLICY');
      expect(back(t.tcp('world', 'web', [443, 5000], 'A'))).toBe('to_pod POLICY');
      path.apply(egress);
      expect(back(here('A'))).toBe('to_pod POLICY');
      expect(out(there('A'))).toBe('to_node POLICY');
      path.apply(admit);
      expect(back(here('A'))).toBe(DELIVERED);
    });

    it('a reply through a Service is judged where it has its own address', () => {
      path.apply(BOTH);
      const service = (flags: string) => ({
        frame: t.tcp('web', 'service', [5000, 80], flags),
        translated: t.tcp('web', 'api', [5000, 8080], flags),
        from: 'web' as const,
        to: 'api' as const,
      });
      const answer = (flags: string) => ({
        frame: t.tcp('api', 'web', [8080, 5000], flags),
        translated: t.tcp('service', 'web', [80, 5000], flags),
        from: 'api' as const,
        to: 'web' as const,
      });
      expect(travel(path, service('S'))).toBe(DELIVERED);
      expect(travel(path, answer('SA'))).toBe(DELIVERED);
      expect(travel(path, service('A'))).toBe(DELIVERED);
      path.apply(BOTH);
      expect(travel(path, answer('A'))).toBe(DELIVERED);
      path.apply(WITHOUT_EGRESS);
      expect(travel(path, answer('A'))).toBe('from_pod POLICY');
      expect(travel(path, service('A'))).toBe('to_pod POLICY');
    });

    it('one that a masquerade hides is known by its mark', () => {
      path.apply(BOTH);
      const hidden = (flags: string, from: 'web' | 'db') => ({
        frame: t.tcp(from, 'service', [5000, 80], flags),
        translated: t.tcp('node', 'api', [40_000, 8080], flags),
        from,
        to: 'api' as const,
      });
      expect(travel(path, hidden('S', 'web'))).toBe(DELIVERED);
      expect(travel(path, hidden('A', 'web'))).toBe(DELIVERED);
      // Another pod that comes by the same address and port does not inherit the verdict.
      expect(travel(path, hidden('A', 'db'))).toBe('to_pod POLICY');
      expect(travel(path, hidden('A', 'web'))).toBe(DELIVERED);
    });

    it('an entry that another CPU has seen a tick later is not old', () => {
      path.apply(BOTH);
      connect();
      for (const name of ['web', 'api'] as const) path.age(name, -60);
      expect(toWeb(reply('A'))).toBe(DELIVERED);
      expect(toApi(request('A'))).toBe(DELIVERED);
    });

    it('a reply under way while its pod becomes isolated is not lost on its way out', () => {
      const incoming = t.tcp('world', 'api', [5000, 8080], 'S');
      const answer = t.tcp('api', 'world', [8080, 5000], 'A');
      path.apply(PLACES);
      expect(travel(path, { frame: incoming, from: 'outside', to: 'api' })).toBe(DELIVERED);
      const { mark, reply: known } = path.run('from_pod', { packet: answer, ifindex: path.ifindex('api') });
      expect(known).toBe(false);
      const leave = () => path.run('to_node', { packet: answer, ifindex: path.ifindex('uplink'), mark });
      path.apply({ ...PLACES, endpoints: { api: { egress: apiEgress } } });
      expect(leave().passed).toBe(true);
      path.apply({ ...PLACES, endpoints: { api: { egress: apiEgress, ingress: apiIngress } } });
      expect(leave().reasons).toEqual(['POLICY']);
    });

    it('replies of a flow whose pod is gone harm nothing', () => {
      path.apply(BOTH);
      connect();
      path.apply({ ...BOTH, endpoints: { ...BOTH.endpoints, web: { absent: true } } });
      expect(path.run('from_pod', { packet: reply('A'), ifindex: path.ifindex('api') }).passed).toBe(true);
    });
  });

  it('keeps the key of a flow of one family apart from the other', () => {
    path.apply(BOTH);
    const [four, six] = [webAndApi(() => path, 4), webAndApi(() => path, 6)];
    expect(four.toApi(four.request('S'))).toBe(DELIVERED);
    expect(six.toWeb(six.reply('SA'))).toBe('to_pod POLICY');
  });
});
