/**
 * Rows kept from one state to the next are those that would be worked out from nothing. The compiler keeps rules that stay as the
 * same objects, and the rows trust that: so here states share rules, as it shares them, and in ways that it never would.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Compiler } from '../../../src/compile/compiler.ts';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { DesiredState, Hint } from '../../../src/dataplane/contract.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { CompiledRule, CompiledState, PortRange, Ruleset, RulesetId, SetId } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { steps } from '../../compile/arbitrary-events.ts';
import { canonicalContent } from './support/canonical.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { changesBetween } from './support/random-states.ts';
import { address } from './support/world-state.ts';

describe('rows of rulesets that change', () => {
  test('are those of a fresh agent, whatever policies, pods and labels came and went', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const compiler = new Compiler({ node: 'here' });
        const kept = new Kept();
        for (const [i, events] of list.entries()) {
          compiler.apply(events);
          const hint = compiler.takeChanges();
          await kept.follow(boundState(compiler.state), i === 0 ? undefined : hint);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('are those of a fresh agent, whichever rules a ruleset shares with the one before, in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(world, { minLength: 2, maxLength: 6 }), async (worlds) => {
        const kept = new Kept();
        let before: DesiredState | undefined;
        for (const one of worlds) {
          const state = stateOf(one);
          await kept.follow(state, before && changesBetween(before, state));
          before = state;
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** An agent that follows states; after each of them both copies must be those of one that has seen no other. */
class Kept {
  readonly #kernel = new FakeKernel();
  readonly #dataplane = new BpfDataplane(this.#kernel);
  /** Every rule that there ever was, by its number. */
  readonly #seen = new Set<number>();

  async follow(state: DesiredState, hint: Hint): Promise<void> {
    await this.#dataplane.apply(state, hint);
    await this.#dataplane.settled();
    const fresh = new FakeKernel();
    const other = new BpfDataplane(fresh);
    await other.apply(state, undefined);
    const wanted = canonicalContent(fresh, fresh.inForce);
    for (const copy of [0, 1] as const) expect(canonicalContent(this.#kernel, copy)).toEqual(wanted);
    expect(this.#kernel.violations).toEqual([]);
    this.#expectNothingLeft(other);
  }

  #expectNothingLeft(other: BpfDataplane): void {
    for (const { rules } of this.#dataplane.state?.compiled.rulesets.values() ?? []) {
      for (const { ref } of rules) {
        const number = other.ruleNumbers.take(ref);
        other.ruleNumbers.release(ref);
        this.#seen.add(number);
      }
    }
    for (const number of this.#seen) {
      expect(this.#dataplane.ruleNumbers.isUsed(number)).toBe(other.ruleNumbers.isUsed(number));
    }
  }
}

/** Every local pod behind an interface of its own. */
function boundState({ endpoints, ...rest }: CompiledState): DesiredState {
  const bindings = [...endpoints.keys()].sort().map((pod, i): [number, Binding] => {
    const link = { ifindex: 20 + i, name: `veth${i}`, addresses: [] };
    return [link.ifindex, { kind: 'endpoint', link, pod, linkLocal: [] }];
  });
  return {
    compiled: { endpoints, ...rest },
    bindings: new Map(bindings),
    exits: new Map(),
    ownAddresses: new Set(),
    pending: 'open',
  };
}

const SETS = ['a', 'b', 'c'] as SetId[];
const PODS = ['p', 'q'] as const;
const MEMBERS = ['10.0.1.1', '10.0.1.2', '10.0.1.3', 'fd00::1'].map(address);

/** The only rules that there are: the same objects in every state. */
const RULES: readonly CompiledRule[] = [
  [['a'], [80]],
  [['b'], [80, 81]],
  [['a', 'b'], 'every'],
  [['c'], [79, 80]],
  [['a', 'c'], []],
  ['anyone', [80]],
  ['anyone', [81, 443]],
  ['anyone', 'every'],
].map(([peers, ports], i) => ({
  ref: { policy: `ns/rule${i}` as ObjectKey, direction: 'ingress', index: 0 },
  peers: peers as SetId[] | 'anyone',
  ports:
    ports === 'every'
      ? ports
      : (ports as number[]).map((port): PortRange => ({ protocol: 'TCP', from: port, to: port })),
}));

/** Pods of equal policies hold one ruleset; `named` says by which of two names it goes. */
const world = fc.record({
  members: fc.tuple(...SETS.map(() => fc.subarray(MEMBERS))),
  rulesets: fc.tuple(
    ...PODS.map(() =>
      fc.record({
        named: fc.constantFrom('r', 's', 't'),
        rules: fc.array(fc.constantFrom(...RULES), { maxLength: 5 }),
      }),
    ),
  ),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function stateOf({ members, rulesets: drawn }: World): DesiredState {
  const rulesets = new Map<RulesetId, Ruleset>();
  for (const { named, rules } of drawn) {
    const id = named as RulesetId;
    if (!rulesets.has(id)) rulesets.set(id, { id, direction: 'ingress', policies: ['ns/p' as ObjectKey], rules });
  }
  const endpoints = PODS.map((name, i) => {
    const pod = `ns/${name}` as ObjectKey;
    return [pod, { pod, addresses: [address(`10.0.0.${1 + i}`)], ingress: drawn[i]?.named as RulesetId }] as const;
  });
  const used = new Set(
    [...rulesets.values()].flatMap(({ rules }) =>
      rules.flatMap(({ peers }): readonly string[] => (peers === 'anyone' ? [] : peers)),
    ),
  );
  const sets = SETS.flatMap((id, i) =>
    used.has(id) ? [{ kind: 'pods' as const, id, members: new Set(members[i]) }] : [],
  );
  const memberships = MEMBERS.map((member) => {
    return [member, new Set(sets.filter((set) => set.members.has(member)).map(({ id }) => id))] as const;
  });
  return boundState({
    endpoints: new Map(endpoints),
    rulesets,
    sets: new Map(sets.map((set) => [set.id, set])),
    memberships: new Map(memberships.filter(([, ids]) => ids.size > 0)),
    awaited: new Map(),
  });
}
