// ICMP errors: those about an admitted flow pass in both directions, forged ones are packets like any other.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { echo, extension, icmp, ipv6Packet, PROTOCOL, tcp, udp } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { ENDPOINTS, everything, PLACES, port, RULESET, type State } from './support/state.ts';
import { type End, FAMILIES, Traffic } from './support/traffic.ts';

const { webEgress, webIngress, apiIngress, apiEgress } = RULESET;
const DELIVERED = 'delivered';
const STATE: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress }, api: { ingress: apiIngress, egress: apiEgress } },
  rows: [
    { ruleset: webEgress, peer: 'block', ports: [port('tcp', 443)] },
    { ruleset: webEgress, peer: 'api', ports: [port('tcp', 8080), port('udp', 53)] },
    { ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080), port('udp', 53)] },
  ],
};
const NOTHING: State = { ...STATE, rows: [] };

describeAsRoot('ICMP errors', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('icmp');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);
    const types = family === 4 ? [3, 4, 11, 12] : [1, 2, 3, 4];
    const [tooBig] = family === 4 ? [3] : [2];
    /** About the start of a packet, as routers quote it. */
    const error = (from: End, to: End, quoted: Uint8Array, type = tooBig as number) =>
      t.frame(from, to, t.icmp, icmp(type, 4, 1400, quoted.subarray(0, (family === 4 ? 20 : 40) + 8)));
    const quote = (from: End, to: End, ports: readonly [number, number]) =>
      t.packet(from, to, PROTOCOL.tcp, tcp(ports[0], ports[1], 'A'));
    const out = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'outside' });
    const back = (frame: Uint8Array) => travel(path, { frame, from: 'outside', to: 'web' });
    const open = () => {
      path.apply(STATE);
      expect(out(t.tcp('web', 'block', [5000, 443], 'S'))).toBe(DELIVERED);
    };

    it.each(types)('type %i about a packet of an admitted flow passes, from whatever router', (type) => {
      open();
      expect(back(error('world', 'web', quote('web', 'block', [5000, 443]), type))).toBe(DELIVERED);
    });

    it('one about another port, peer or pod does not', () => {
      open();
      const forged = [
        quote('web', 'block', [5001, 443]),
        quote('web', 'block', [5000, 444]),
        quote('web', 'world', [5000, 443]),
        quote('api', 'block', [5000, 443]),
        quote('block', 'web', [443, 5000]),
        t.packet('web', 'block', PROTOCOL.udp, udp(5000, 443)),
      ];
      for (const quoted of forged) expect(back(error('world', 'web', quoted))).toBe('to_pod UNRELATED');
    });

    it('one whose quotation is cut short or no packet does not', () => {
      open();
      const quoted = quote('web', 'block', [5000, 443]);
      const wrongVersion = Buffer.from(quoted);
      wrongVersion[0] = 0x15;
      for (const cut of [quoted.subarray(0, 12), quoted.subarray(0, family === 4 ? 24 : 44), wrongVersion]) {
        expect(back(error('world', 'web', cut))).toBe('to_pod UNRELATED');
      }
    });

    it('one about a flow that policy no longer admits does not', () => {
      open();
      path.apply(NOTHING);
      expect(back(error('world', 'web', quote('web', 'block', [5000, 443])))).toBe('to_pod UNRELATED');
    });

    it('one about a refused opening does not', () => {
      path.apply(NOTHING);
      expect(out(t.tcp('web', 'block', [5000, 443], 'S'))).toBe('to_node POLICY');
      expect(back(error('world', 'web', quote('web', 'block', [5000, 443])))).toBe('to_pod UNRELATED');
    });

    it('one about a refused opening by way of a Service does not', () => {
      path.apply(NOTHING);
      const frame = t.tcp('web', 'service', [5000, 443], 'S');
      const translated = t.tcp('web', 'block', [5000, 443], 'S');
      expect(travel(path, { frame, translated, from: 'web', to: 'outside' })).toBe('to_node POLICY');
      expect(back(error('world', 'web', quote('web', 'service', [5000, 443])))).toBe('to_pod UNRELATED');
    });

    it('a rule without ports admits any', () => {
      path.apply({ ...STATE, rows: [{ ruleset: webIngress, peer: 'anyone', ports: everything() }] });
      expect(back(error('world', 'web', quote('web', 'block', [1, 2])))).toBe(DELIVERED);
    });

    it('passes a pod under no policy', () => {
      path.apply(PLACES);
      expect(back(error('world', 'web', quote('web', 'block', [1, 2])))).toBe(DELIVERED);
    });

    it('a pod may answer an admitted request by an error, locally and over the way out', () => {
      path.apply(STATE);
      const request = t.udp('web', 'api', [6000, 53]);
      expect(travel(path, { frame: request, from: 'web', to: 'api' })).toBe(DELIVERED);
      const answer = error('api', 'web', request.subarray(14), family === 4 ? 3 : 1);
      expect(travel(path, { frame: answer, from: 'api', to: 'web' })).toBe(DELIVERED);
      expect(path.run('from_pod', { packet: answer, ifindex: path.ifindex('api') }).reply).toBe(true);
    });

    it('but only to the one that asked', () => {
      path.apply(STATE);
      const request = t.udp('web', 'api', [6000, 53]);
      expect(travel(path, { frame: request, from: 'web', to: 'api' })).toBe(DELIVERED);
      const carrier = error('api', 'world', request.subarray(14));
      expect(path.run('from_pod', { packet: carrier, ifindex: path.ifindex('api') }).reply).toBe(false);
      expect(travel(path, { frame: carrier, from: 'api', to: 'outside' })).toBe('to_node UNRELATED');
    });

    it('but not carry anything by an error about what it was refused', () => {
      path.apply(STATE);
      const refused = t.tcp('api', 'web', [9000, 9000], 'S');
      expect(travel(path, { frame: refused, from: 'api', to: 'web' })).toBe('to_pod POLICY');
      const carrier = error('api', 'web', quote('web', 'api', [9000, 9000]));
      expect(travel(path, { frame: carrier, from: 'api', to: 'web' })).toBe('to_pod UNRELATED');
    });

    it('nor may a pod that was refused be told of by the one that refused it', () => {
      path.apply(STATE);
      const refused = t.tcp('web', 'api', [5000, 9], 'S');
      expect(travel(path, { frame: refused, from: 'web', to: 'api' })).toBe('to_pod POLICY');
      const carrier = error('api', 'web', refused.subarray(14));
      expect(travel(path, { frame: carrier, from: 'api', to: 'web' })).toBe('to_pod UNRELATED');
    });

    it('an error about an echo request that was admitted passes', () => {
      path.apply({ ...STATE, rows: [{ ruleset: webEgress, peer: 'block', ports: everything() }] });
      expect(out(t.echoRequest('web', 'block', 7))).toBe(DELIVERED);
      const about = (identifier: number) =>
        error('world', 'web', t.packet('web', 'block', t.icmp, echo(family === 4 ? 8 : 128, identifier)));
      expect(back(about(7))).toBe(DELIVERED);
      expect(back(about(8))).toBe('to_pod UNRELATED');
    });

    it('an error about an error is not related', () => {
      open();
      const inner = t.packet('web', 'block', t.icmp, icmp(tooBig as number, 0));
      expect(back(error('world', 'web', inner))).toBe('to_pod UNRELATED');
    });
  });

  it('the quotation is read through its extension headers', () => {
    const t = new Traffic(6);
    path.apply(STATE);
    expect(travel(path, { frame: t.tcp('web', 'block', [5000, 443], 'S'), from: 'web', to: 'outside' })).toBe(
      DELIVERED,
    );
    const quoted = ipv6Packet(
      { source: ENDPOINTS.web.ipv6, destination: t.address('block'), next: PROTOCOL.destinationOptions },
      Buffer.concat([extension(PROTOCOL.tcp), tcp(5000, 443, 'A')]),
    );
    const frame = t.frame('world', 'web', PROTOCOL.icmpv6, icmp(2, 0, 1400, quoted));
    expect(travel(path, { frame, from: 'outside', to: 'web' })).toBe(DELIVERED);
  });
});
