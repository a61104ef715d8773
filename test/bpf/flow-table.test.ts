// Who makes room for whom in a table of flows, where a connection stands in it, and what a table does that is of no use.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { u32Bytes } from '../../src/dataplane/bpf/tables.ts';
import type { FlowRecord } from '../support/kernel/flow-entries.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { PacketPath } from './support/packet-path.ts';
import { PLACES, port, RULESET, type State } from './support/state.ts';
import { FAMILIES, Traffic } from './support/traffic.ts';

const { webEgress, webIngress } = RULESET;
const WAYS = { 4: 'FLOW4_WAYS', 6: 'FLOW6_WAYS' } as const;
const TICKS = 1000;
/** Digests of where a hundred connections stand, by their ports. */
const PLACES_OF_FORM_2 = { 4: '8d0be390', 6: '8502cde2' };
/** What web may send to remote. */
const PORT = 8080;
const STATE: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress } },
  rows: [{ ruleset: webEgress, peer: 'remote', ports: [port('tcp', PORT), port('udp', PORT)] }],
};

describeAsRoot('a table of flows', () => {
  let path: PacketPath;

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);
    const sends = (from: number, flags = 'S') => {
      return path.run('from_pod', {
        packet: t.tcp('web', 'remote', [from, PORT], flags),
        ifindex: path.ifindex('web'),
      });
    };
    const answers = (to: number, flags = 'SA') => {
      const packet = t.tcp('remote', 'web', [PORT, to], flags);
      return path.run('to_pod', { packet, ifindex: path.ifindex('web'), ingressIfindex: path.ifindex('uplink') });
    };
    const connect = (from: number) => {
      sends(from);
      expect(answers(from).passed).toBe(true);
      sends(from, 'A');
    };
    /** Of the pod's connections that have entries. */
    const ports = () => path.flows('web', family).map(({ key }) => Number(key.local_port));
    const has = (...wanted: number[]) => expect(ports()).toEqual(expect.arrayContaining(wanted));
    const change = (of: number, how: (flow: FlowRecord) => FlowRecord) => {
      path.changeFlows('web', (flow, key) => (key.local_port === of ? how(flow) : flow));
    };
    const age = (of: number, ticks: number) => {
      change(of, (flow) => ({ ...flow, seen: (Number(flow.seen) - ticks) >>> 0 }));
    };

    describe('one of whose sets is full', () => {
      const spare = 2;
      let ways: number;
      let inOneSet: number[];
      beforeAll(() => {
        path = new PacketPath('order', { flowSetBits: 1 });
        path.apply(STATE);
        ways = path.number(WAYS[family]);
        const wanted = ways + spare + 1;
        inOneSet = [];
        for (let from = 1; inOneSet.length < wanted; from++) {
          path.forgetFlows();
          sends(from);
          if (path.flows('web', family)[0]?.set === 0) inOneSet.push(from);
        }
      });
      afterAll(() => path?.close());
      beforeEach(() => path.forgetFlows());

      it('takes new connections until it has all of its entries', () => {
        const [last, ...others] = inOneSet.slice(0, ways + 1) as [number, ...number[]];
        for (const from of others) sends(from);
        has(...others);
        expect(ports()).toHaveLength(ways);
        sends(last);
        expect(ports()).toHaveLength(ways);
        has(last);
      });

      it('gives up idle ones first, then closed ones, then those without an answer, the longest unseen of each', () => {
        const [idle, closed, older, old, ...rest] = inOneSet.slice(0, ways) as [number, number, number, number];
        const established = rest as number[];
        for (const from of [idle, closed, ...established]) connect(from);
        for (const from of [older, old]) sends(from);
        answers(closed, 'R');
        age(idle, 100_000 * TICKS);
        age(older, 20);
        age(old, 10);
        for (const from of established) age(from, 60 * TICKS);
        // Each new one has no answer either, and is the one seen last.
        for (const gone of [idle, closed, older]) {
          const before = ports();
          expect(before).toContain(gone);
          sends(inOneSet.find((from) => !before.includes(from) && ![idle, closed, older].includes(from)) ?? 0);
          expect(ports()).not.toContain(gone);
          has(...established);
        }
      });

      it('gives up the established one that was unseen for the longest when there are no others', () => {
        const [first, ...others] = inOneSet.slice(0, ways) as [number, ...number[]];
        for (const [index, from] of [...others, first].entries()) {
          connect(from);
          age(from, TICKS * index);
        }
        sends(inOneSet[ways] as number);
        expect(ports()).not.toContain(first);
        has(...others);
      });

      it('takes one that another CPU has seen a tick later for the newest', () => {
        const [newest, oldest, ...others] = inOneSet.slice(0, ways) as [number, number, ...number[]];
        for (const from of [newest, oldest, ...others]) connect(from);
        age(oldest, 20);
        for (const from of others) age(from, 10);
        age(newest, -2);
        sends(inOneSet[ways] as number);
        expect(ports()).not.toContain(oldest);
        has(newest);
      });

      it('is given up for no packet that opens nothing', () => {
        const others = inOneSet.slice(0, ways);
        for (const from of others) connect(from);
        sends(inOneSet[ways] as number, 'A');
        answers(inOneSet[ways] as number, 'A');
        expect(ports().sort()).toEqual([...others].sort());
      });

      it('keeps a datagram and a segment of the same ports apart', () => {
        const [from] = inOneSet as [number];
        connect(from);
        path.run('from_pod', { packet: t.udp('web', 'remote', [from, PORT]), ifindex: path.ifindex('web') });
        const flows = path.flows('web', family);
        expect(flows.map(({ key }) => Number(key.protocol)).sort()).toEqual([17, 6]);
      });
    });

    describe('of the usual size', () => {
      const active = 200;
      const first = 1000;
      beforeAll(() => {
        path = new PacketPath('usual', { flowSetBits: 11 });
        path.apply(STATE);
      });
      afterAll(() => path?.close());
      beforeEach(() => {
        path.forgetFlows();
        for (let i = 0; i < active; i++) connect(first + i);
        path.age('web', 60 * TICKS);
      });

      const left = () => ports().filter((from) => from >= first && from < first + active).length;

      it('loses no connection to 4,000 new ones without an answer', () => {
        for (let i = 0; i < 4000; i++) sends(10_000 + i);
        expect(left()).toBe(active);
      });

      it('loses none to 4,000 new ones that are answered, and never acknowledge the answer', () => {
        for (let i = 0; i < 4000; i++) {
          sends(10_000 + i);
          answers(10_000 + i);
        }
        expect(left()).toBe(active);
      });

      it('loses none to 4,000 questions by UDP with an answer each', () => {
        for (let i = 0; i < 4000; i++) {
          const packet = t.udp('web', 'remote', [10_000 + i, PORT]);
          const answer = t.udp('remote', 'web', [PORT, 10_000 + i]);
          const [ifindex, ingressIfindex] = [path.ifindex('web'), path.ifindex('uplink')];
          path.run('from_pod', { packet, ifindex });
          path.run('to_pod', { packet: answer, ifindex, ingressIfindex });
        }
        expect(left()).toBe(active);
      });

      it('loses few to 4,000 new ones that are established', () => {
        for (let i = 0; i < 4000; i++) connect(10_000 + i);
        expect(left()).toBeGreaterThan(0.85 * active);
      });
    });

    describe('and its seed', () => {
      beforeAll(() => {
        path = new PacketPath('seed', { flowSetBits: 8 });
        path.apply(STATE);
      });
      afterAll(() => path?.close());

      const places = (seed: number) => {
        path.forgetFlows();
        path.seedFlows(seed);
        for (let from = 1; from <= 100; from++) sends(from);
        return path.flows('web', family).map(({ key, set }) => `${key.local_port}: ${set}`);
      };

      it('place every connection anew by another seed, and alike by the same', () => {
        const [one, other] = [places(1), places(2)];
        expect(one).toHaveLength(100);
        expect(places(1)).toEqual(one);
        expect(other.filter((place) => one.includes(place)).length).toBeLessThan(10);
      });

      it('place connections as other versions do: who changes that gives FLOW_FORM another number', () => {
        const text = places(1).sort().join();
        expect(createHash('sha256').update(text).digest('hex').slice(0, 8)).toBe(PLACES_OF_FORM_2[family]);
      });

      it('spread connections evenly: neighbouring ports do not meet', () => {
        const sets = new Set(places(3).map((place) => place.split(': ')[1]));
        // 256 x (1 - (255 / 256)^100): as many as by chance.
        expect(sets.size).toBeGreaterThan(70);
      });

      it('spread ports that are counted up by any numbers: they do not go round few sets in equal steps', () => {
        const kept = Array.from({ length: 200 }, (_, seed) => places(seed).length);
        expect(Math.min(...kept)).toBeGreaterThanOrEqual(98);
      });
    });

    describe('whose lock is held', () => {
      beforeAll(() => {
        path = new PacketPath('held', { flowSetBits: 2 });
        path.apply(STATE);
      });
      afterAll(() => path?.close());
      beforeEach(() => path.forgetFlows());

      /** As by another CPU that does not go on. */
      const hold = (held: boolean) => {
        const table = path.flowTable('web', family);
        for (const [index, set] of table.entries()) {
          set.set(u32Bytes(held ? 1 : 0), 0);
          table.set(index, set);
        }
      };

      it('lets packets go their way by policy, counts what it could not keep, and is there again afterwards', () => {
        connect(1);
        hold(true);
        const lost = path.lost('LOSS_FLOW');
        expect(sends(2).passed).toBe(true);
        expect(ports()).toEqual([1]);
        expect(path.lost('LOSS_FLOW')).toBe(lost + 1);
        expect(answers(1, 'A').passed).toBe(true);
        expect(answers(2).passed).toBe(false);
        path.apply(STATE);
        expect(answers(1, 'A').passed).toBe(true);
        path.apply({ ...STATE, rows: [] });
        expect(sends(1, 'A').passed).toBe(true);
        hold(false);
        path.apply(STATE);
        connect(2);
        expect(ports().sort()).toEqual([1, 2]);
      });
    });
  });
});
