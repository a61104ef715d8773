import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import { type ClusterEvent, keyOf } from '../../src/model/cluster.ts';
import { event, finalObjects, steps } from './arbitrary-events.ts';
import { differences, dump } from './dump.ts';

const runs = { numRuns: 1500 };

function compile(...steps: readonly (readonly ClusterEvent[])[]): Compiler {
  const compiler = new Compiler({ node: 'here' });
  for (const events of steps) compiler.apply(events);
  return compiler;
}

function upserts(events: readonly ClusterEvent[]): ClusterEvent[] {
  return finalObjects(events).map((object) => ({ type: 'upsert', object }));
}

describe('the compiled state depends on the objects and not on the path to them', () => {
  test('steps end where the final objects alone do', () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const stepwise = compile(...steps);
        const fresh = compile(upserts(steps.flat()));
        expect(dump(stepwise)).toEqual(dump(fresh));
        expect(stepwise.counts).toEqual(fresh.counts);
      }),
      runs,
    );
  });

  test('in any order, split, squashed and duplicated', () => {
    const permuted = steps.chain((steps) => {
      const objects = upserts(steps.flat());
      const order = fc.shuffledSubarray(objects, { minLength: objects.length });
      return fc.record({ objects: fc.constant(objects), order });
    });
    fc.assert(
      fc.property(permuted, ({ objects, order }) => {
        const wanted = dump(compile(objects));
        expect(dump(compile(order))).toEqual(wanted);
        expect(dump(compile(...order.map((event) => [event])))).toEqual(wanted);
        expect(dump(compile(...objects.toReversed().map((event) => [event, event])))).toEqual(wanted);
        expect(dump(compile(objects, structuredClone(order)))).toEqual(wanted);
      }),
      { numRuns: 500 },
    );
  });

  test('nothing is left over when all is deleted', () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const compiler = compile(...steps);
        const deletes = finalObjects(steps.flat()).map(
          (object): ClusterEvent => ({ type: 'delete', kind: object.kind, key: keyOf(object) }),
        );
        for (const event of deletes) compiler.apply([event]);
        const empty = compile();
        expect(dump(compiler)).toEqual(dump(empty));
        expect(compiler.counts).toEqual(empty.counts);
      }),
      { numRuns: 500 },
    );
  });
});

describe('changes', () => {
  test('name everything that differs since they were last taken', () => {
    fc.assert(
      fc.property(steps, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (steps, takes) => {
        const compiler = compile();
        let before = dump(compiler);
        steps.forEach((events, i) => {
          compiler.apply(events);
          if (takes[i] !== true) return;
          const named = compiler.takeChanges();
          const after = dump(compiler);
          const differing = differences(before, after);
          for (const section of ['endpoints', 'rulesets', 'sets', 'addresses'] as const) {
            expect([...differing[section]].filter((key) => !(named[section] as ReadonlySet<string>).has(key))).toEqual(
              [],
            );
          }
          before = after;
        });
      }),
      runs,
    );
  });

  test('are none when objects come again as they are', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const compiler = compile(events);
        compiler.takeChanges();
        compiler.apply(structuredClone(upserts(events)));
        const { endpoints, rulesets, sets, addresses } = compiler.takeChanges();
        expect([endpoints.size, rulesets.size, sets.size, addresses.size]).toEqual([0, 0, 0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the state agrees with itself', () => {
  test('sets and memberships are each other turned around; rules name sets that are there', () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const { state } = compile(...steps);
        for (const [address, ids] of state.memberships) {
          expect(ids.size).toBeGreaterThan(0);
          for (const id of ids) {
            const set = state.sets.get(id);
            expect(set?.kind !== 'ipBlock' && set?.members.has(address)).toBe(true);
          }
        }
        for (const set of state.sets.values()) {
          if (set.kind === 'ipBlock') continue;
          if (set.kind === 'named') expect(set.members.size).toBeGreaterThan(0);
          for (const address of set.members) expect(state.memberships.get(address)?.has(set.id)).toBe(true);
        }
        for (const ruleset of state.rulesets.values()) {
          expect(ruleset.policies.length).toBeGreaterThan(0);
          for (const { peers, ports } of ruleset.rules) {
            if (peers !== 'anyone') {
              expect(peers.length).toBeGreaterThan(0);
              for (const id of peers) expect(state.sets.has(id)).toBe(true);
            }
            expect(ports.length).toBeGreaterThan(0);
          }
        }
        for (const endpoint of state.endpoints.values()) {
          for (const id of [endpoint.ingress, endpoint.egress])
            if (id !== undefined) expect(state.rulesets.has(id)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
