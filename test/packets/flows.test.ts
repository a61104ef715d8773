/** What an entry of a pod's connections lets through, and for how long: closed, idle, evicted by the pod's own flood. */
import { features } from 'selvedge-libbpf';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { echo, fragmentHeader, PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { policy } from '../support/cases/case.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, FAMILIES, type Family, PODS, type PodName } from './support/cast.ts';
import { FlowTable } from './support/flow-tables.ts';
import { ipFrameOf } from './support/wire.ts';

const ARRIVED = 'arrived';
const POLICY = 'to-pod drop-policy';
const TICKS = Math.round(1e9 / features.tickNanoseconds());
/** Of each pod and family: small, so that a flood is short. */
const CAPACITY = 512;

/** `guarded` may ask anybody and be asked by nobody; `ward` may be asked by anybody and ask nobody. */
const ONE_WAY = [
  policy('default/asks', {
    podSelector: { matchLabels: { name: 'guarded' } },
    policyTypes: ['Egress', 'Ingress'],
    egress: [{}],
  }),
  policy('default/answers', {
    podSelector: { matchLabels: { name: 'ward' } },
    policyTypes: ['Egress', 'Ingress'],
    ingress: [{}],
  }),
];

describeAsRoot('flows', () => {
  let node: BridgeNode;
  let port = 20_000;
  beforeAll(async () => {
    node = await BridgeNode.open('flows', { mapSizes: { flowsPerEndpoint: CAPACITY } });
    await node.apply(...ONE_WAY);
  });
  beforeEach(() => {
    port++;
  });
  afterAll(() => node?.close());

  const offer = (from: PodName, to: PodName, family: Family, protocol: number, payload: Uint8Array, v4 = {}) =>
    node.offer(from, to, ipFrameOf({ from: PODS[from], to: PODS[to] }, { family, protocol, payload, v4 }));

  describe.each(FAMILIES)('by IPv%i', (family) => {
    const asks = (flags: string) => offer('guarded', 'ward', family, PROTOCOL.tcp, tcp(port, ADMITTED.tcp, flags));
    const answers = (flags: string) => offer('ward', 'guarded', family, PROTOCOL.tcp, tcp(ADMITTED.tcp, port, flags));

    function connect(): void {
      expect([asks('S'), answers('SA'), asks('A'), answers('A')]).toEqual(Array(4).fill(ARRIVED));
    }

    function backdate(seconds: number): void {
      for (const pod of ['guarded', 'ward'] as const) {
        const table = new FlowTable(node, pod, family);
        table.backdate(seconds * TICKS);
        table.close();
      }
    }

    describe.each([
      ['by both sides', (): string[] => [asks('FA'), answers('FA'), asks('A')]],
      ['by a reset of who asked', (): string[] => [asks('R')]],
      ['by a reset of who was asked', (): string[] => [answers('RA')]],
    ])('a connection closed %s', (_, close) => {
      it('admits no new one, neither at once nor later', () => {
        connect();
        expect(close().every((outcome) => outcome === ARRIVED)).toBe(true);
        expect(answers('S')).toBe(POLICY);
        backdate(31);
        expect(['S', 'SA', 'A', 'FA', 'R'].map(answers)).toEqual(Array(5).fill(POLICY));
      });

      it('can be opened again by the side that may', () => {
        connect();
        close();
        connect();
        backdate(31);
        expect(answers('A')).toBe(ARRIVED);
      });
    });

    it('pieces of a packet that would open a connection the other way are no answers', () => {
      connect();
      const pieces = (flags: string): string[] => {
        const segment = Buffer.concat([tcp(ADMITTED.tcp, port, flags), Buffer.alloc(12)]);
        const piece = (offset: number, bytes: Uint8Array): string => {
          const more = offset === 0;
          const v4 = { id: port, moreFragments: more, fragmentOffset: offset };
          const head = fragmentHeader(PROTOCOL.tcp, offset, more, port);
          return family === 4
            ? offer('ward', 'guarded', family, PROTOCOL.tcp, bytes, v4)
            : offer('ward', 'guarded', family, PROTOCOL.fragment, Buffer.concat([head, bytes]));
        };
        return [piece(0, segment), piece(segment.length, Buffer.alloc(8))];
      };
      expect(pieces('A')).toEqual([ARRIVED, ARRIVED]);
      expect(pieces('S')).toEqual([POLICY, POLICY]);
    });

    it('an established connection forgets after a day, an opening one after two minutes', () => {
      connect();
      backdate(86_300);
      expect(answers('A')).toBe(ARRIVED);
      backdate(86_401);
      expect(answers('A')).toBe(POLICY);
      port++;
      asks('S');
      backdate(121);
      expect(answers('SA')).toBe(POLICY);
    });

    it('datagrams may be answered for half a minute, then for three once they were', () => {
      const ask = () => offer('guarded', 'ward', family, PROTOCOL.udp, udp(port, ADMITTED.udp));
      const answer = () => offer('ward', 'guarded', family, PROTOCOL.udp, udp(ADMITTED.udp, port));
      expect(answer()).toBe(POLICY);
      expect(ask()).toBe(ARRIVED);
      backdate(31);
      expect(answer()).toBe(POLICY);
      expect(ask()).toBe(ARRIVED);
      expect(answer()).toBe(ARRIVED);
      backdate(170);
      expect(answer()).toBe(ARRIVED);
      backdate(181);
      expect(answer()).toBe(POLICY);
    });

    it('an echo may be answered for half a minute', () => {
      const [protocol, request, reply] = family === 4 ? [1, 8, 0] : [58, 128, 129];
      const answer = () => offer('ward', 'guarded', family, protocol, echo(reply, port));
      expect(answer()).toBe(POLICY);
      expect(offer('guarded', 'ward', family, protocol, echo(request, port))).toBe(ARRIVED);
      expect(offer('ward', 'guarded', family, protocol, echo(reply, port + 1))).toBe(POLICY);
      expect(answer()).toBe(ARRIVED);
      backdate(31);
      expect(answer()).toBe(POLICY);
    });

    describe.each([
      ['unanswered', false],
      ['answered', true],
    ] as const)('a flood of %s flows', (_, answered) => {
      it("leaves its neighbours' connections alone, and costs the pod at most its own", () => {
        connect();
        const own = port;
        const sizes = () =>
          (['ward', 'free'] as const).map((pod) => {
            const table = new FlowTable(node, pod, family);
            const { size } = table;
            table.close();
            return size;
          });
        // `open` talks to `free`, and `guarded` to `ward`, when `guarded` begins to flood `open`.
        offer('open', 'free', family, PROTOCOL.udp, udp(port, ADMITTED.udp));
        const before = sizes();
        for (let flow = 0; flow < 4 * CAPACITY; flow++) {
          const [here, there] = [1_024 + flow, 30_000 + (flow >> 8)];
          expect(offer('guarded', 'open', family, PROTOCOL.udp, udp(here, there))).toBe(ARRIVED);
          if (answered) expect(offer('open', 'guarded', family, PROTOCOL.udp, udp(there, here))).toBe(ARRIVED);
        }
        expect(sizes()).toEqual(before);
        const table = new FlowTable(node, 'guarded', family);
        expect(table.size).toBeLessThanOrEqual(table.capacity);
        table.close();
        // Its own connection may be forgotten: then answers are judged as requests, until the pod opens another one.
        port = own;
        expect([ARRIVED, POLICY]).toContain(answers('A'));
        expect(asks('A')).toBe(ARRIVED);
        expect(answers('S')).toBe(POLICY);
        connect();
      });
    });
  });
});
