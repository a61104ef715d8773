// Where a packet comes from and goes to: marks, the pod itself, its own node, the way out, interfaces not known yet.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { arp, ETHERTYPE, ethernet, PROTOCOL } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { ENDPOINTS, everything, PLACES, port, RULESET, type State } from './support/state.ts';
import { FAMILIES, Traffic } from './support/traffic.ts';

const { apiIngress, webEgress, webIngress } = RULESET;
const DELIVERED = 'delivered';
const ALL_CLOSED = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress }, api: { ingress: apiIngress } },
} as const satisfies State;

describeAsRoot('places', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('places');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);

    it('a pod always reaches itself, also through a Service', () => {
      path.apply(ALL_CLOSED);
      const frame = t.tcp('web', 'service', [5000, 80], 'S');
      const translated = t.tcp('web', 'web', [5000, 8080], 'S');
      expect(travel(path, { frame, translated, from: 'web', to: 'web' })).toBe(DELIVERED);
      expect(path.counts(path.ifindex('web')).get('SELF/ingress/0')).toBeGreaterThan(0);
      const masqueraded = t.tcp('node', 'web', [40_000, 8080], 'S');
      expect(travel(path, { frame, translated: masqueraded, from: 'web', to: 'web' })).toBe(DELIVERED);
    });

    it('a pod and its own node always reach each other', () => {
      path.apply(ALL_CLOSED);
      expect(travel(path, { frame: t.tcp('node', 'api', [5000, 22], 'S'), from: 'node', to: 'api' })).toBe(DELIVERED);
      expect(travel(path, { frame: t.udp('node', 'api', [5000, 22]), from: 'node', to: 'api' })).toBe(DELIVERED);
      expect(travel(path, { frame: t.tcp('web', 'node', [5000, 22], 'S'), from: 'web', to: 'node' })).toBe(DELIVERED);
      expect(travel(path, { frame: t.tcp('node', 'web', [22, 5000], 'SA'), from: 'node', to: 'web' })).toBe(DELIVERED);
      expect(path.counts(path.ifindex('api')).get('NODE/ingress/0')).toBeGreaterThan(0);
    });

    it("a node's address that came in by an interface is not the node", () => {
      path.apply(ALL_CLOSED);
      const frame = t.tcp('node', 'api', [5000, 22], 'S');
      expect(travel(path, { frame, from: 'outside', to: 'api' })).toBe('to_pod POLICY');
      expect(travel(path, { frame: t.tcp('world', 'api', [5000, 22], 'S'), from: 'node', to: 'api' })).toBe(
        'to_pod POLICY',
      );
    });

    it('by option a pod is judged towards its own node too, and answers it all the same', () => {
      const judged: State = { ...ALL_CLOSED, judgeOwnNode: true };
      const request = t.tcp('web', 'node', [5000, 22], 'S');
      path.apply(judged);
      expect(travel(path, { frame: request, from: 'web', to: 'node' })).toBe('from_pod POLICY');
      expect(travel(path, { frame: t.tcp('node', 'web', [5000, 80], 'S'), from: 'node', to: 'web' })).toBe(DELIVERED);
      expect(travel(path, { frame: t.tcp('web', 'node', [80, 5000], 'SA'), from: 'web', to: 'node' })).toBe(DELIVERED);
      path.apply({ ...judged, rows: [{ ruleset: webEgress, peer: 'anyone', ports: [port('tcp', 22)] }] });
      expect(travel(path, { frame: request, from: 'web', to: 'node' })).toBe(DELIVERED);
    });

    it('the source of a masqueraded packet is the pod that its mark names', () => {
      path.apply({ ...ALL_CLOSED, rows: [{ ruleset: apiIngress, peer: 'db', ports: everything() }] });
      const hidden = (from: 'web' | 'db') => ({
        frame: t.tcp(from, 'service', [5000, 80], 'S'),
        translated: t.tcp('node', 'api', [40_000, 8080], 'S'),
        from,
        to: 'api' as const,
      });
      expect(travel(path, hidden('db'))).toBe(DELIVERED);
      expect(travel(path, hidden('web'))).toBe('to_pod POLICY');
    });

    it('an address in no set is the world, and the longest prefix decides', () => {
      const rows = [
        { ruleset: webEgress, peer: 'anyone', ports: [port('tcp', 80)] },
        { ruleset: webEgress, peer: 'block', ports: [port('tcp', 443)] },
        { ruleset: webEgress, peer: 'remote', ports: [] },
      ] as const;
      path.apply({ ...ALL_CLOSED, rows });
      const out = (to: 'world' | 'block' | 'remote', number: number) =>
        travel(path, { frame: t.tcp('web', to, [5000, number], 'S'), from: 'web', to: 'outside' });
      expect([out('world', 80), out('world', 443)]).toEqual([DELIVERED, 'to_node POLICY']);
      expect([out('block', 80), out('block', 443)]).toEqual(['to_node POLICY', DELIVERED]);
      expect([out('remote', 80), out('remote', 443)]).toEqual(['to_node POLICY', 'to_node POLICY']);
    });

    it('takes the mark off what has been judged on its way out, and leaves other bits', () => {
      path.apply({ ...ALL_CLOSED, rows: [{ ruleset: webEgress, peer: 'anyone', ports: everything() }] });
      const packet = t.tcp('web', 'world', [5000, 80], 'S');
      const others = 0x8000_c000;
      const left = path.run('from_pod', { packet, ifindex: path.ifindex('web'), mark: (others | 0x7fff_0000) >>> 0 });
      expect(left.mark >>> 0).toBe((others | (ENDPOINTS.web.slot << 16)) >>> 0);
      const gone = path.run('to_node', { packet, ifindex: path.ifindex('uplink'), mark: left.mark });
      expect([gone.passed, gone.mark >>> 0]).toEqual([true, others >>> 0]);
      const reply = path.run('to_node', { packet, ifindex: path.ifindex('uplink'), mark: path.markOf('web', true) });
      expect([reply.passed, reply.mark]).toEqual([true, 0]);
    });

    it('a mark on what the node sends itself is the node’s own affair, also a number that a pod has', () => {
      path.apply(ALL_CLOSED);
      const mark = path.markOf('web', false);
      const out = { packet: t.tcp('node', 'world', [5100, 80], 'S'), ifindex: path.ifindex('uplink'), mark };
      expect(path.run('to_node', { ...out, ingressIfindex: path.ifindex('web') }).reasons).toEqual(['POLICY']);
      expect(path.run('to_node', { ...out, ingressIfindex: 0 }).passed).toBe(true);
      const toWeb = { packet: t.udp('world', 'web', [53, 5100]), ifindex: path.ifindex('web'), mark };
      // Not "a pod with itself".
      expect(path.run('to_pod', { ...toWeb, ingressIfindex: 0 }).reasons).toEqual(['POLICY']);
    });

    it('what lay in a queue while its sender went is dropped, but for replies and what the node sends itself', () => {
      const rows = [
        { ruleset: webEgress, peer: 'anyone', ports: everything() },
        { ruleset: apiIngress, peer: 'anyone', ports: everything() },
      ] as const;
      path.apply({ ...ALL_CLOSED, rows });
      for (const flags of ['S', 'A']) {
        const packet = t.tcp('web', 'world', [5100, 80], flags);
        const { mark } = path.run('from_pod', { packet, ifindex: path.ifindex('web') });
        const [uplink, ingressIfindex] = [path.ifindex('uplink'), path.ifindex('web')];
        const out = (more = {}) => path.run('to_node', { packet, ifindex: uplink, ingressIfindex, mark, ...more });
        const toApi = { packet: t.tcp('web', 'api', [5100, 80], flags), ifindex: path.ifindex('api'), ingressIfindex };
        for (const api of [{ ingress: apiIngress }, {}]) {
          const { web: _, ...others } = ALL_CLOSED.endpoints;
          path.apply({ ...ALL_CLOSED, rows, endpoints: { ...others, api, web: { absent: true } } });
          expect(out().reasons).toEqual(['SOURCE']);
          expect(path.run('to_pod', { ...toApi, mark }).reasons).toEqual(['SOURCE']);
          expect(out({ mark: path.markOf('web', true) }).passed).toBe(true);
          expect(out({ ingressIfindex: 0 }).passed).toBe(true);
        }
        path.apply({ ...ALL_CLOSED, rows });
        expect(out().passed).toBe(true);
        expect(path.run('to_pod', { ...toApi, mark }).passed).toBe(true);
      }
    });

    it('nothing without a mark is judged on its way out', () => {
      path.apply(ALL_CLOSED);
      const packet = t.tcp('web', 'world', [5000, 80], 'S');
      expect(path.run('to_node', { packet, ifindex: path.ifindex('uplink') }).passed).toBe(true);
    });

    it('counts and tells new connections of both directions, each once', () => {
      path.apply({
        ...ALL_CLOSED,
        rows: [
          { ruleset: webEgress, peer: 'api', ports: [port('tcp', 1000, 2000, 71)] },
          { ruleset: apiIngress, peer: 'web', ports: [port('tcp', 1500, 1500, 72)] },
        ],
      });
      const sums = () => [
        path.counts(path.ifindex('web')).get('RULE/egress/71') ?? 0,
        path.counts(path.ifindex('api')).get('RULE/ingress/72') ?? 0,
      ];
      const before = sums();
      travel(path, { frame: t.tcp('web', 'api', [5000, 1500], 'S'), from: 'web', to: 'api' });
      travel(path, { frame: t.tcp('web', 'api', [5000, 1500], 'S'), from: 'web', to: 'api' });
      travel(path, { frame: t.tcp('api', 'web', [1500, 5000], 'SA'), from: 'api', to: 'web' });
      travel(path, { frame: t.tcp('web', 'api', [5000, 1500], 'A'), from: 'web', to: 'api' });
      expect(sums().map((sum, index) => sum - (before[index] ?? 0))).toEqual([1, 1]);
    });

    it('an event of a drop names ends, direction, ruleset and generation', () => {
      path.apply(ALL_CLOSED);
      const { mark } = path.run('from_pod', {
        packet: t.tcp('web', 'api', [5000, 8080], 'S'),
        ifindex: path.ifindex('web'),
      });
      const packet = t.tcp('web', 'api', [5000, 8080], 'S');
      const { events } = path.run('to_pod', { packet, ifindex: path.ifindex('api'), mark });
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({
        generation: path.generation,
        source_port: 5000,
        destination_port: 8080,
        ifindex: path.ifindex('web'),
        ruleset: webEgress,
        rule: 0,
        length: packet.length,
        ethertype: family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6,
        family,
        protocol: PROTOCOL.tcp,
        direction: path.number('DIRECTION_EGRESS'),
        verdict: path.number('VERDICT_DENY'),
        hook: path.number('HOOK_TO_POD'),
      });
      const bytes = family === 4 ? [...packet.subarray(26, 30)] : [...packet.subarray(22, 38)];
      expect([...(events[0] as { source: Uint8Array }).source].slice(0, bytes.length)).toEqual(bytes);
    });
  });

  describe('an interface without an endpoint', () => {
    const frame = new Traffic(4).tcp('web', 'api', [5000, 80], 'S');
    const both = (state: State): string[] => {
      path.apply(state);
      const ifindex = path.ifindex('new');
      return [
        ...(['from_pod', 'to_pod'] as const).map((hook) => {
          const { passed, reasons } = path.run(hook, { packet: frame, ifindex });
          return passed ? 'open' : reasons.join();
        }),
        path.run('from_pod', { packet: arp({ sender: '10.1.0.9', target: '10.1.0.1' }), ifindex }).passed
          ? 'open'
          : 'closed',
      ];
    };

    it.each([
      ['open where nothing is said', {}, ['open', 'open', 'open']],
      ['as the state says', { pending: 'CLOSED' }, ['PENDING', 'PENDING', 'closed']],
      ['as its own entry says', { pending: 'CLOSED', pendingOfNew: 'OPEN' }, ['open', 'open', 'open']],
      ['closed by its own entry', { pendingOfNew: 'CLOSED' }, ['PENDING', 'PENDING', 'closed']],
    ] as const)('is %s', (_, state, expected) => {
      expect(both(state)).toEqual(expected);
    });

    it('that is open is no way around the egress of the node’s pods', () => {
      const { webEgress } = RULESET;
      const arrive = (packet: Uint8Array, reply = false) => {
        return path.run('to_pod', { packet, ifindex: path.ifindex('new'), mark: path.markOf('web', reply) });
      };
      path.apply({ ...PLACES, pending: 'OPEN', endpoints: { web: { egress: webEgress } } });
      expect(arrive(frame)).toMatchObject({ passed: false, reasons: ['POLICY'] });
      expect(arrive(frame, true).passed).toBe(true);
      expect(arrive(arp({ sender: ENDPOINTS.web.ipv4, target: '10.1.0.1' })).passed).toBe(true);
      const rows = [{ ruleset: webEgress, peer: 'anyone', ports: [port('tcp', 80)] }] as const;
      path.apply({ ...PLACES, pending: 'OPEN', endpoints: { web: { egress: webEgress } }, rows });
      expect(arrive(frame).passed).toBe(true);
    });

    it('leaves no mark that somebody else could have written', () => {
      path.apply({});
      const { mark } = path.run('from_pod', { packet: frame, ifindex: path.ifindex('new'), mark: path.markOf('web') });
      expect(mark).toBe(0);
    });
  });

  it('frames that are neither IP nor ARP do not leave the node when their sender is isolated', () => {
    const unknown = ethernet(0x88b5, Buffer.alloc(46));
    path.apply(ALL_CLOSED);
    const out = (packet: Uint8Array) =>
      path.run('to_node', { packet, ifindex: path.ifindex('uplink'), mark: path.markOf('web') });
    expect(out(unknown).reasons).toEqual(['ETHERTYPE']);
    expect(out(ethernet(ETHERTYPE.ipv4, Buffer.alloc(46), [[0x8100, 3]])).reasons).toEqual(['VLAN']);
    expect(out(arp({ sender: ENDPOINTS.web.ipv4, target: '10.1.0.1' })).passed).toBe(true);
    path.apply(PLACES);
    expect(out(unknown).passed).toBe(true);
  });

  it('a searched port set is searched whole, whatever stands between', () => {
    const ports = Array.from({ length: 100 }, (_, index) => port('tcp', 100 * index + 10, 100 * index + 20, index + 1));
    const denied = { ...port('udp', 53), verdict: 'deny' as const };
    path.apply({ ...ALL_CLOSED, rows: [{ ruleset: apiIngress, peer: 'anyone', ports: [...ports, denied] }] });
    const reach = (number: number) =>
      path.run('to_pod', {
        packet: new Traffic(4).tcp('world', 'api', [5000, number], 'S'),
        ifindex: path.ifindex('api'),
      }).passed;
    for (const base of [0, 100, 4900, 5000, 9800, 9900]) {
      expect([9, 10, 20, 21].map((offset) => reach(base + offset))).toEqual([false, true, true, false]);
    }
    const udp = new Traffic(4).udp('world', 'api', [1, 53]);
    expect(path.run('to_pod', { packet: udp, ifindex: path.ifindex('api') }).passed).toBe(false);
  });
});
