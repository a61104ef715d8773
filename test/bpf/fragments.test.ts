// Fragments in any order: judged by the first one's ports, or not admitted.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { extension, fragmentHeader, ipv4, ipv6, PROTOCOL, tcp, udp } from './support/frames.ts';
import { travel } from './support/journey.ts';
import { PacketPath } from './support/packet-path.ts';
import { ENDPOINTS, everything, PLACES, port, RULESET, type State } from './support/state.ts';
import { FAMILIES } from './support/traffic.ts';

const { web, api } = ENDPOINTS;
const { apiIngress } = RULESET;
const DELIVERED = 'delivered';
const admit = (ports: ReturnType<typeof port>[]): State => ({
  ...PLACES,
  endpoints: { api: { ingress: apiIngress, egress: RULESET.apiEgress } },
  rows: [{ ruleset: apiIngress, peer: 'web', ports }],
});
const PORT_53 = admit([port('tcp', 53), port('udp', 53)]);
const MORE = Buffer.alloc(32);

interface Piece {
  readonly offset: number;
  readonly more: boolean;
  readonly protocol?: number;
  readonly id?: number;
}

describeAsRoot('fragments', () => {
  let path: PacketPath;
  beforeAll(() => {
    path = new PacketPath('fragments');
  });
  afterAll(() => path?.close());
  beforeEach(() => path.forgetFlows());

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const ends = (from: typeof web | typeof api, to: typeof web | typeof api) =>
      family === 4 ? { source: from.ipv4, destination: to.ipv4 } : { source: from.ipv6, destination: to.ipv6 };
    const piece = (
      from: typeof web | typeof api,
      { offset, more, protocol = PROTOCOL.udp, id = 7 }: Piece,
      payload: Uint8Array,
    ) => {
      const both = ends(from, from === web ? api : web);
      if (family === 4) return ipv4({ ...both, protocol, id, moreFragments: more, fragmentOffset: offset }, payload);
      return ipv6(
        { ...both, next: PROTOCOL.fragment },
        Buffer.concat([fragmentHeader(protocol, offset, more, id), payload]),
      );
    };
    const first = (number: number, id = 7) => piece(web, { offset: 0, more: true, id }, udp(6000, number, 24));
    const later = (id = 7) => piece(web, { offset: 32, more: false, id }, MORE);
    const toApi = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'api' });

    it('later ones follow the first', () => {
      path.apply(PORT_53);
      expect([toApi(first(53)), toApi(later())]).toEqual([DELIVERED, DELIVERED]);
      expect([toApi(first(54, 8)), toApi(later(8))]).toEqual(['to_pod POLICY', 'to_pod POLICY']);
    });

    it('one whose first was not seen is dropped, and not the next datagram', () => {
      path.apply(PORT_53);
      expect(toApi(later())).toBe('to_pod FRAGMENT');
      expect(toApi(first(53))).toBe(DELIVERED);
      expect(toApi(later(9))).toBe('to_pod FRAGMENT');
    });

    it('unless the verdict does not depend on ports', () => {
      path.apply(admit(everything()));
      expect(toApi(later())).toBe(DELIVERED);
      path.apply(admit([port('udp', 0, 65535)]));
      expect(toApi(later())).toBe(DELIVERED);
      path.apply(admit([port('tcp', 0, 65535)]));
      expect(toApi(later())).toBe('to_pod FRAGMENT');
      path.apply(PLACES);
      expect(toApi(later())).toBe(DELIVERED);
    });

    it('a second first fragment is judged by its own ports', () => {
      path.apply(PORT_53);
      expect([toApi(first(53)), toApi(first(54)), toApi(first(53))]).toEqual([DELIVERED, 'to_pod POLICY', DELIVERED]);
    });

    it('a first fragment without the whole header is not admitted', () => {
      path.apply(PORT_53);
      const cut = (bytes: number) =>
        toApi(piece(web, { offset: 0, more: true, protocol: PROTOCOL.tcp }, tcp(6000, 53, 'S').subarray(0, bytes)));
      expect([cut(8), cut(16)]).toEqual(['to_pod MALFORMED', 'to_pod MALFORMED']);
    });

    it.each([8, 16])('a later fragment at %i bytes would rewrite the TCP header', (offset) => {
      path.apply(PORT_53);
      const whole = piece(
        web,
        { offset: 0, more: true, protocol: PROTOCOL.tcp },
        Buffer.concat([tcp(6000, 53, 'S'), MORE]),
      );
      expect(toApi(whole)).toBe(DELIVERED);
      expect(toApi(piece(web, { offset, more: false, protocol: PROTOCOL.tcp }, MORE))).toBe('to_pod MALFORMED');
    });

    it('replies come in fragments too', () => {
      path.apply(PORT_53);
      expect(toApi(first(53))).toBe(DELIVERED);
      const back = (frame: Uint8Array) => travel(path, { frame, from: 'api', to: 'web' });
      expect(back(piece(api, { offset: 0, more: true, id: 70 }, udp(53, 6000, 24)))).toBe(DELIVERED);
      const isReply = path.run('from_pod', {
        packet: piece(api, { offset: 32, more: false, id: 70 }, MORE),
        ifindex: path.ifindex('api'),
      });
      expect(isReply.reply).toBe(true);
      expect(back(piece(api, { offset: 32, more: false, id: 70 }, MORE))).toBe(DELIVERED);
    });

    it('a later fragment makes no entry', () => {
      path.apply(PORT_53);
      toApi(first(54));
      path.apply(admit(everything()));
      expect(toApi(later())).toBe(DELIVERED);
      expect(path.flows('api', family)).toEqual([]);
    });
  });

  it('an atomic fragment is a whole packet', () => {
    path.apply(PORT_53);
    const frame = ipv6(
      { source: web.ipv6, destination: api.ipv6, next: PROTOCOL.fragment },
      Buffer.concat([fragmentHeader(PROTOCOL.udp, 0, false, 7), udp(6000, 53)]),
    );
    expect(travel(path, { frame, from: 'web', to: 'api' })).toBe(DELIVERED);
    expect(path.flows('api', 6)).toHaveLength(1);
  });

  it('two fragment headers are malformed', () => {
    path.apply(PORT_53);
    const frame = ipv6(
      { source: web.ipv6, destination: api.ipv6, next: PROTOCOL.fragment },
      Buffer.concat([
        fragmentHeader(PROTOCOL.fragment, 0, true, 7),
        fragmentHeader(PROTOCOL.udp, 0, true, 8),
        udp(6000, 53),
      ]),
    );
    expect(travel(path, { frame, from: 'web', to: 'api' })).toBe('to_pod MALFORMED');
  });

  it('what hides behind options in a later fragment is known by the first alone', () => {
    const piece = (offset: number, payload: Uint8Array) =>
      ipv6(
        { source: web.ipv6, destination: api.ipv6, next: PROTOCOL.fragment },
        Buffer.concat([fragmentHeader(PROTOCOL.destinationOptions, offset, offset === 0, 7), payload]),
      );
    const send = (frame: Uint8Array) => travel(path, { frame, from: 'web', to: 'api' });
    path.apply(admit([{ protocol: 255, from: 0, to: 65535, rule: 1 }]));
    expect(send(piece(40, MORE))).toBe('to_pod FRAGMENT');
    path.apply(PORT_53);
    expect(send(piece(0, Buffer.concat([extension(PROTOCOL.udp), udp(6000, 53, 24)])))).toBe(DELIVERED);
    expect(send(piece(40, MORE))).toBe(DELIVERED);
  });
});
