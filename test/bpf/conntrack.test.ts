// Connections that the flow tables do not know, but the kernel's conntrack does: older than the agent, or evicted.
// Real sockets make the connections on the test namespace's loopback; the packets judged are test-runs.
import { once } from 'node:events';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { socket } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { CHUNK, icmp } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PLACES, port, RULESET, type State } from './support/state.ts';
import { NODE_PORT, TrackedPath } from './support/tracked-path.ts';
import { FAMILIES, Traffic } from './support/traffic.ts';

const { webEgress, webIngress, apiIngress, apiEgress } = RULESET;
const DELIVERED = 'delivered';
const WEB_TO_API: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress }, api: { ingress: apiIngress, egress: apiEgress } },
  rows: [
    { ruleset: webEgress, peer: 'api', ports: [port('tcp', 8080), port('udp', 53)] },
    { ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080), port('udp', 53)] },
  ],
};
const NOTHING: State = { ...WEB_TO_API, rows: [] };

describeAsRoot('with conntrack', () => {
  let path: TrackedPath;

  beforeAll(() => {
    path = new TrackedPath('conntrack');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);
    const toApi = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'api' });
    const toWeb = (frame: Uint8Array) => travel(path, { frame, from: 'api', to: 'web' });
    const origins = (name: 'web' | 'api') => path.flows(name, family).map(({ value }) => value.origin);

    it('replies of UDP pass without entries, and make them', () => {
      path.apply(WEB_TO_API);
      expect(toWeb(t.udp('api', 'web', [53, 6001]))).toBe('to_pod POLICY');
      path.forgetFlows();
      path.converse(t, ['web', 6001], ['api', 53], ['api', 53]);
      expect(toWeb(t.udp('api', 'web', [53, 6001]))).toBe(DELIVERED);
      expect([origins('api'), origins('web')]).toEqual([[path.number('FLOW_BY_PEER')], [path.number('FLOW_BY_LOCAL')]]);
      expect(toApi(t.udp('web', 'api', [6001, 53]))).toBe(DELIVERED);
      expect(toWeb(t.udp('api', 'web', [53, 6001]))).toBe(DELIVERED);
    });

    describe('of whose UDP entries none was lost for long', () => {
      const reply = () => t.udp('api', 'web', [53, 6001]);
      /** Whether api's own hook takes it for a reply. */
      const known = () => path.run('from_pod', { packet: reply(), ifindex: path.ifindex('api') }).reply;
      const settle = () => {
        toWeb(reply());
        toApi(t.udp('web', 'api', [6001, 53]));
        for (const name of ['web', 'api'] as const) path.settleFlows(name, family);
        path.dropFlows();
      };

      it('is not asked about the first datagram: without an entry it begins a connection', () => {
        path.apply(WEB_TO_API);
        path.converse(t, ['web', 6001], ['api', 53], ['api', 53]);
        settle();
        expect(known()).toBe(false);
        expect(origins('api')).toEqual([path.number('FLOW_BY_LOCAL')]);
        path.dropFlows();
        const arriving = { packet: reply(), ifindex: path.ifindex('web'), ingressIfindex: path.ifindex('uplink') };
        expect(path.run('to_pod', arriving).reasons).toEqual(['POLICY']);
      });

      it('is asked again once an entry of that side has made room for another one', () => {
        path.apply(WEB_TO_API);
        path.converse(t, ['web', 6001], ['api', 53], ['api', 53]);
        settle();
        // From beyond the node, so that it is api's table alone that they fill.
        path.apply({ ...WEB_TO_API, endpoints: {} });
        const arrive = (from: number) => {
          const packet = t.udp('remote', 'api', [from, 53]);
          path.run('to_pod', { packet, ifindex: path.ifindex('api'), ingressIfindex: path.ifindex('uplink') });
        };
        for (let from = 10_000; from < 12_000; from++) arrive(from);
        expect(known()).toBe(true);
      });

      it('is asked again once a packet has come by that leaves no entry: the own one, which the node masquerades', () => {
        path.apply(WEB_TO_API);
        path.converse(t, ['web', 6001], ['api', 53], ['api', 53]);
        settle();
        const packet = t.udp('web', 'api', [6001, 53]);
        path.run('to_pod', { packet, ifindex: path.ifindex('api'), mark: path.markOf('api') });
        expect(known()).toBe(true);
      });

      it('is asked about an entry that was idle for too long', () => {
        path.apply(WEB_TO_API);
        path.converse(t, ['web', 6001], ['api', 53], ['api', 53]);
        settle();
        known();
        path.changeFlows('api', (flow) => ({ ...flow, seen: (Number(flow.seen) - 2 ** 30) >>> 0 }));
        expect(known()).toBe(true);
      });
    });

    it('and are dropped when policy does not admit their request', () => {
      path.converse(t, ['web', 6002], ['api', 53], ['api', 53]);
      path.apply(NOTHING);
      expect(toWeb(t.udp('api', 'web', [53, 6002]))).toBe('to_pod POLICY');
      path.forgetFlows();
      const arriving = {
        packet: t.udp('api', 'web', [53, 6002]),
        ifindex: path.ifindex('web'),
        mark: path.markOf('api'),
      };
      expect(path.run('to_pod', arriving).reasons).toEqual(['POLICY']);
    });

    it('replies of TCP pass without entries, requests in mid-stream too, and only in their directions', async () => {
      path.apply(WEB_TO_API);
      const server = path.inside(() =>
        socket.open({ family, type: 'tcp', bind: { address: t.address('api'), port: 8080 }, listen: 1 }),
      );
      const client = path.inside(() =>
        socket.open({ family, type: 'tcp', bind: { address: t.address('web'), port: 6003 } }),
      );
      const stream = new Socket({ fd: client, manualStart: true } as SocketConstructorOpts);
      stream.connect({ host: t.address('api'), port: 8080 });
      await once(stream, 'connect');
      try {
        expect(toWeb(t.tcp('api', 'web', [8080, 6003], 'A'))).toBe(DELIVERED);
        path.forgetFlows();
        expect(toApi(t.tcp('web', 'api', [6003, 8080], 'A'))).toBe(DELIVERED);
        expect(origins('web')).toEqual([path.number('FLOW_BY_LOCAL')]);
        path.forgetFlows();
        expect(toWeb(t.tcp('api', 'web', [8080, 6003], 'S'))).toBe('to_pod POLICY');
        path.apply(NOTHING);
        path.forgetFlows();
        expect(toWeb(t.tcp('api', 'web', [8080, 6003], 'A'))).toBe('from_pod POLICY');
        path.forgetFlows();
        expect(toApi(t.tcp('web', 'api', [6003, 8080], 'A'))).toBe('to_pod POLICY');
      } finally {
        stream.destroy();
        socket.close(server);
      }
    });

    it('a refused datagram from outside does not stand in the way of what the pod may ask itself', () => {
      path.converse(t, ['world', 53], ['web', 6007], ['web', 6007]);
      path.apply({ ...NOTHING, rows: [{ ruleset: webEgress, peer: 'anyone', ports: [port('udp', 53)] }] });
      const refused = t.udp('world', 'web', [53, 6007]);
      expect(travel(path, { frame: refused, from: 'outside', to: 'web' })).toBe('to_pod POLICY');
      expect(travel(path, { frame: t.udp('web', 'world', [6007, 53]), from: 'web', to: 'outside' })).toBe(DELIVERED);
      expect(travel(path, { frame: refused, from: 'outside', to: 'web' })).toBe(DELIVERED);
    });

    it('a reply from off the node that nothing has translated is judged by its own ends, whatever its protocol', () => {
      const request = t.sctp('web', 'world', [7000, 9], CHUNK.init);
      const answer = t.sctp('world', 'web', [9, 7000], CHUNK.data);
      path.apply(PLACES);
      expect(travel(path, { frame: request, from: 'web', to: 'outside' })).toBe(DELIVERED);
      path.apply({ ...PLACES, endpoints: { web: { egress: webEgress } } });
      expect(travel(path, { frame: answer, from: 'outside', to: 'web' })).toBe('to_pod POLICY');
      const admit = [{ ruleset: webEgress, peer: 'anyone', ports: [port('sctp', 9)] }] as const;
      path.apply({ ...PLACES, endpoints: { web: { egress: webEgress } }, rows: admit });
      expect(travel(path, { frame: answer, from: 'outside', to: 'web' })).toBe(DELIVERED);
    });

    it('a reply from outside through a Service is judged by the backend that conntrack names', () => {
      const answer = t.udp('service', 'web', [80, 6004]);
      const back = () => travel(path, { frame: answer, from: 'outside', to: 'web' });
      path.apply(WEB_TO_API);
      path.run('from_pod', { packet: t.udp('web', 'service', [6004, 80]), ifindex: path.ifindex('web') });
      path.converse(t, ['web', 6004], ['service', 80], ['api', 53]);
      expect(back()).toBe(DELIVERED);
      path.apply(NOTHING);
      expect(back()).toBe('to_pod POLICY');
      path.apply(WEB_TO_API);
      expect(back()).toBe(DELIVERED);
      path.forgetFlows();
      expect(back()).toBe(DELIVERED);
      path.forgetFlows();
      path.apply(NOTHING);
      expect(back()).toBe('to_pod POLICY');
    });

    it('what the node masquerades for somebody else is judged by who sent it', () => {
      const seen = path.converse(t, ['world', 6005], ['node', NODE_PORT], ['api', 53]);
      const frame = t.udp('node', 'api', [seen, 53]);
      const arrive = () => travel(path, { frame, from: 'outside', to: 'api' });
      const admit = (peer: 'anyone' | 'block'): State => ({
        ...WEB_TO_API,
        addresses: [...PLACES.addresses, { text: t.address('world'), peer: 'remote' }],
        rows: [
          { ruleset: apiIngress, peer, ports: [port('udp', 53)] },
          { ruleset: apiIngress, peer: 'remote', ports: peer === 'block' ? [port('udp', 53)] : [] },
        ],
      });
      path.apply(admit('block'));
      expect(arrive()).toBe(DELIVERED);
      path.forgetFlows();
      path.apply(admit('anyone'));
      expect(arrive()).toBe('to_pod POLICY');
    });

    it('and so is what the pod answers it, whatever the pod says of it in between', () => {
      const seen = path.converse(t, ['world', 6008], ['node', NODE_PORT], ['api', 53]);
      const request = t.udp('node', 'api', [seen, 53]);
      const reply = t.udp('api', 'node', [53, seen]);
      const quoted = request.subarray(14, 14 + (family === 4 ? 20 : 40) + 8);
      const error = t.frame('api', 'node', t.icmp, icmp(family === 4 ? 3 : 1, 3, 0, quoted));
      const answer = (frame: Uint8Array) => {
        const translated = t.udp('api', 'world', [53, 6008]);
        return travel(path, { frame, translated, from: 'api', to: 'outside' });
      };
      const addresses = [...PLACES.addresses, { text: t.address('world'), peer: 'remote' }] as const;
      const rows = [{ ruleset: apiIngress, peer: 'remote', ports: [port('udp', 53)] }] as const;
      path.apply({ ...WEB_TO_API, addresses, rows });
      expect(travel(path, { frame: request, from: 'outside', to: 'api' })).toBe(DELIVERED);
      expect(answer(reply)).toBe(DELIVERED);
      path.apply({ ...WEB_TO_API, addresses, rows: [] });
      path.run('from_pod', { packet: error, ifindex: path.ifindex('api') });
      expect(answer(reply)).toBe('from_pod POLICY');
      path.forgetFlows();
      // Without an entry it may be the pod's own request, which its egress does not admit either.
      expect(answer(reply)).toBe('to_node POLICY');
      path.forgetFlows();
      path.apply({ ...WEB_TO_API, addresses, rows });
      expect(answer(reply)).toBe(DELIVERED);
    });

    it('a pod under no policy that answers UDP of before is entered as the one that answers', () => {
      path.apply(PLACES);
      path.converse(t, ['web', 6006], ['api', 53], ['api', 53]);
      expect(toWeb(t.udp('api', 'web', [53, 6006]))).toBe(DELIVERED);
      expect([origins('api'), origins('web')]).toEqual([[path.number('FLOW_BY_PEER')], [path.number('FLOW_BY_LOCAL')]]);
    });
  });
});
