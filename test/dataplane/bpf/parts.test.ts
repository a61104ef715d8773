/** The parts of the BPF data plane, each against the plainest way to say the same. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AbiMismatchError, checkAbi } from '../../../src/dataplane/bpf/abi.ts';
import { EventDecoder } from '../../../src/dataplane/bpf/events.ts';
import { flattenPorts, type NumberedRule } from '../../../src/dataplane/bpf/flatten-ports.ts';
import { FreeExtents } from '../../../src/dataplane/bpf/free-extents.ts';
import { makeNames, NameHistory } from '../../../src/dataplane/bpf/names.ts';
import { PrefixTrie } from '../../../src/dataplane/bpf/prefix-trie.ts';
import { RuleNumbers } from '../../../src/dataplane/bpf/rule-numbers.ts';
import { SlotPool } from '../../../src/dataplane/bpf/slot-pool.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { PortRange } from '../../../src/model/compiled.ts';
import { abiFromHeader, layoutFromHeader } from './support/abi-from-header.ts';

const PROTOCOLS = { any: 0, other: 255 };
const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 };

describe('flattening rules to port ranges', () => {
  const edge = fc.constantFrom(0, 1, 5, 6, 7, 80, 65534, 65535);
  const range = fc
    .tuple(fc.constantFrom('TCP', 'UDP', 'SCTP'), edge, edge)
    .map(([protocol, a, b]): PortRange => ({ protocol: protocol as 'TCP', from: Math.min(a, b), to: Math.max(a, b) }));
  const rules = fc
    .array(
      fc.oneof({ weight: 1, arbitrary: fc.constant('every' as const) }, { weight: 5, arbitrary: fc.array(range) }),
      {
        maxLength: 6,
      },
    )
    .map((list) => list.map((ports, i): NumberedRule => ({ number: i + 1, ports })));

  test('every port gets the first rule that admits it', () => {
    fc.assert(
      fc.property(rules, (list) => {
        const ranges = flattenPorts(list, PROTOCOLS);
        for (const protocol of ['TCP', 'UDP', 'SCTP', 'other'] as const) {
          for (const port of [0, 1, 2, 5, 6, 7, 8, 79, 80, 81, 65533, 65534, 65535]) {
            const first = list.find(
              ({ ports }) =>
                ports === 'every' || ports.some((r) => r.protocol === protocol && r.from <= port && port <= r.to),
            );
            const number = protocol === 'other' ? PROTOCOLS.other : NUMBERS[protocol];
            const hit = ranges.find(
              (r) => r.protocol === PROTOCOLS.any || (r.protocol === number && r.from <= port && port <= r.to),
            );
            expect(hit?.rule).toBe(first?.number);
          }
        }
      }),
    );
  });

  test('ranges are sorted, disjoint, and joined where the same rule goes on', () => {
    fc.assert(
      fc.property(rules, (list) => {
        const ranges = flattenPorts(list, PROTOCOLS);
        if (ranges.some(({ protocol }) => protocol === PROTOCOLS.any)) expect(ranges).toHaveLength(1);
        for (const [i, next] of ranges.entries()) {
          const before = ranges[i - 1];
          expect(next.from).toBeLessThanOrEqual(next.to);
          if (before === undefined || before.protocol !== next.protocol) continue;
          expect(next.from).toBeGreaterThan(before.to);
          if (before.rule === next.rule) expect(next.from).toBeGreaterThan(before.to + 1);
        }
        expect(ranges.map(({ protocol }) => protocol)).toEqual(ranges.map((r) => r.protocol).sort((a, b) => a - b));
      }),
    );
  });
});

describe('the trie of prefixes', () => {
  const prefix: fc.Arbitrary<{ bytes: Uint8Array; length: number }> = fc
    .tuple(fc.nat(15), fc.nat(15), fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 12, 13, 15, 16))
    .map(([a, b, length]) => ({ bytes: masked([a * 17, b * 17], length), length }));

  test('knows what covers a place and what lies in it, whatever came and went', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), prefix), { maxLength: 40 }), prefix, (steps, place) => {
        const trie = new PrefixTrie<string>(2);
        const plain = new Map<string, { bytes: Uint8Array; length: number }>();
        for (const [add, { bytes, length }] of steps) {
          const key = `${bytes}/${length}`;
          if (add) plain.set(key, { bytes, length });
          else plain.delete(key);
          if (add) trie.set(bytes, length, key);
          else trie.delete(bytes, length);
        }
        const inside = (outer: typeof place, inner: typeof place) =>
          outer.length <= inner.length && `${masked(inner.bytes, outer.length)}` === `${outer.bytes}`;
        const covering = [...plain].filter(([, entry]) => inside(entry, place));
        const within = [...plain].filter(([, entry]) => inside(place, entry));
        expect([...trie.covering(place.bytes, place.length)]).toEqual(
          covering.sort(([, a], [, b]) => a.length - b.length).map(([key]) => key),
        );
        expect([...trie.within(place.bytes, place.length)].sort()).toEqual(within.map(([key]) => key).sort());
        expect(trie.get(place.bytes, place.length)).toBe(
          plain.has(`${place.bytes}/${place.length}`) ? `${place.bytes}/${place.length}` : undefined,
        );
      }),
    );
  });
});

test('free extents: what is taken never overlaps, and all that is given back is one again', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9 }))), (steps) => {
      const free = new FreeExtents();
      const taken: { first: number; count: number }[] = [];
      for (const [take, number] of steps) {
        if (take) taken.push(free.take(number));
        else if (taken.length > 0)
          free.give(taken.splice(number % taken.length, 1)[0] as { first: number; count: number });
        const cells = taken.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        expect(new Set(cells).size).toBe(cells.length);
        expect(free.end).toBeGreaterThanOrEqual(Math.max(0, ...cells.map((cell) => cell + 1)));
      }
      for (const extent of taken) free.give(extent);
      expect(free.end).toBe(0);
    }),
  );
});

test('slots come round: the one freed last is given last, and a kept one not at all', () => {
  const pool = new SlotPool(5, [2], undefined, () => 0.5);
  expect([pool.take(9), pool.take(9)]).toEqual([3, 4]);
  pool.release(3);
  expect(pool.take(9)).toBe(1);
  expect(pool.take(9)).toBe(3);
  expect(pool.take(9)).toBeGreaterThanOrEqual(5);
});

test('slots begin at a random place, each alike, for nobody knows which ones an agent before has just freed', () => {
  const places = [0, 0.25, 0.5, 0.75, 0.999].map((part) => new SlotPool(5, [2], undefined, () => part).take(9));
  expect(places).toEqual([1, 3, 3, 4, 4]);
  const first = new Set(Array.from({ length: 100 }, () => new SlotPool(16384, [1, 2, 3]).take(9)));
  expect(first.size).toBeGreaterThan(50);
});

test('slots of another layout stay with their interfaces until nobody marks packets with them', () => {
  const pool = new SlotPool(9, [], { used: new Set([1, 2, 5]), ofInterface: new Map([[40, 2]]) }, () => 0);
  expect([pool.take(30), pool.take(40), pool.take(31)]).toEqual([3, 2, 4]);
  expect([pool.take(40), pool.take(32)]).toEqual([6, 7]);
  pool.forgetEarlier();
  expect([pool.take(33), pool.take(34)]).toEqual([8, 1]);
});

test('rule numbers are the same in every process, and stay with their names after the rule is gone', () => {
  const ref = { policy: 'shop/web' as ObjectKey, direction: 'ingress' as const, index: 3 };
  const numbers = new RuleNumbers();
  const number = numbers.take(ref);
  expect(new RuleNumbers().take(ref)).toBe(number);
  numbers.release(ref);
  expect(numbers.refOf(number)).toEqual(ref);
});

test('a number is named as it was in the generation of the event', () => {
  const history = new NameHistory<string>();
  history.record(3n, [[1, 'a']]);
  history.record(5n, [[1, 'b']]);
  history.record(6n, []);
  expect([2n, 3n, 4n, 5n, 6n].map((generation) => history.at(generation, 1))).toEqual([
    undefined,
    'a',
    'a',
    'b',
    undefined,
  ]);
});

describe('the ABI', () => {
  const maps = (names: readonly string[]) => new Map(names.map((name) => [name, { name }]));
  const programs = new Map(['from_pod', 'to_pod', 'to_node', 'to_node_l3'].map((name) => [name, undefined]));

  test('differences are all named at once', () => {
    const layout = layoutFromHeader();
    const enums = new Map(layout.enums).set(
      'copy',
      new Map([
        ['COPY_LEFT', 0],
        ['COPY_MIDDLE', 1],
      ]),
    );
    const structs = new Map(layout.structs);
    structs.delete('slot');
    structs.set('settings', { ...(structs.get('settings') as never as object), members: [] } as never);
    const object = { layout: { structs, enums }, maps: maps(['generation', 'extra', '.rodata']), programs };
    const error = caught(() => checkAbi(object));
    expect(error).toBeInstanceOf(AbiMismatchError);
    expect((error as AbiMismatchError).differences).toEqual(
      expect.arrayContaining([
        'no struct slot',
        'no field of struct settings pending',
        'no name in enum copy COPY_RIGHT',
        'unknown name in enum copy COPY_MIDDLE',
        'no map settings_left',
        'unknown map extra',
      ]),
    );
  });

  test('an event is told in the names of its generation', () => {
    const abi = abiFromHeader();
    const names = makeNames();
    const ruleNumbers = new RuleNumbers();
    names.pods.record(4n, [[12, 'shop/web-0' as ObjectKey]]);
    names.policies.record(4n, [[7, ['shop/deny' as ObjectKey]]]);
    names.policies.record(5n, [[7, ['shop/other' as ObjectKey]]]);
    const decoder = new EventDecoder({ abi, names, ruleNumbers });
    const { numbers } = abi;
    const bytes = abi.codecs.event.encode({
      time: 99n,
      generation: 4n,
      source: Uint8Array.of(10, 0, 0, 9, ...new Array(12).fill(0)),
      destination: Uint8Array.of(10, 0, 0, 1, ...new Array(12).fill(0)),
      source_port: 40_000,
      destination_port: 443,
      ifindex: 12,
      ruleset: 7,
      rule: 0,
      length: 60,
      ethertype: 0x800,
      family: 4,
      protocol: 6,
      direction: numbers.DIRECTION_INGRESS,
      verdict: numbers.VERDICT_DENY,
      reason: numbers.REASON_DROP_POLICY,
      hook: numbers.HOOK_TO_POD,
    });
    expect(decoder.event(bytes)).toEqual({
      time: 99n,
      generation: 4n,
      verdict: 'deny',
      reason: 'drop-policy',
      direction: 'ingress',
      hook: 'to-pod',
      ifindex: 12,
      pod: 'shop/web-0',
      source: '10.0.0.9',
      destination: '10.0.0.1',
      sourcePort: 40_000,
      destinationPort: 443,
      ethertype: 0x800,
      protocol: 6,
      length: 60,
      policies: ['shop/deny'],
    });
  });
});

function caught(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

function masked(bytes: ArrayLike<number>, length: number): Uint8Array {
  return Uint8Array.from(bytes, (byte, i) => byte & ~(0xff >> Math.max(0, Math.min(8, length - 8 * i))) & 0xff);
}
