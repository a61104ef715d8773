/** What the maps hold depends on the state and not on the way to it, and what is written depends on what changed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import type { RulesetId } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { canonicalContent } from './support/canonical.ts';
import { FakeKernel, type Write } from './support/fake-kernel.ts';
import { changesBetween, desiredState, relatedStates } from './support/random-states.ts';
import { podsInSets, type World, worldState } from './support/world-state.ts';

const path = fc.array(desiredState, { minLength: 1, maxLength: 4 });

describe('the content of the maps', () => {
  test('is the same on every path to a state, up to numbers, in both copies', async () => {
    await fc.assert(
      fc.asyncProperty(path, relatedStates, async (one, related) => {
        const last = related.at(-1) as DesiredState;
        const contents = await Promise.all([[last], [...one, last], related, [...related, last]].map(contentAfter));
        for (const copies of contents) for (const content of copies) expect(content).toEqual(contents[0]?.[0]);
      }),
      { numRuns: 60 },
    );
  });

  test('needs no writing when an agent starts on what another has left', async () => {
    await fc.assert(
      fc.asyncProperty(path, async (drawn) => {
        const states = drawn.map(withAllBound);
        const kernel = new FakeKernel();
        await applyAll(new BpfDataplane(kernel), states);
        const before = kernel.writes.length;
        const restarted = new BpfDataplane(kernel);
        const { writes } = await restarted.apply(states.at(-1) as DesiredState, undefined);
        await restarted.settled();
        expect(writes).toBe(0);
        expect(kernel.writes.length).toBe(before);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the cost of a change', () => {
  test('a pod elsewhere that joins known sets: one write in each copy, and the flip', async () => {
    const { before, after } = joining({ pods: [{ address: '10.1.0.9', sets: ['web', 'shop'] }] });
    expect(await writesFor(before, after)).toEqual(['ipcache4', 'generation', 'ipcache4']);
  });

  test('a pod of two families: one write for each address', async () => {
    const pods = [
      { address: '10.1.0.9', sets: ['web', 'shop'] },
      { address: 'fd00:1::9', sets: ['web', 'shop'] },
    ];
    const { before, after } = joining({ pods });
    expect(await writesFor(before, after)).toEqual(['ipcache4', 'ipcache6', 'generation', 'ipcache4', 'ipcache6']);
  });

  test('a local pod: its interface, its record and its table besides', async () => {
    const local = { ifindex: 40, pod: 'ns/new', addresses: ['10.1.0.9'], ingress: 'isolated' };
    const { before, after } = joining({ pods: [{ address: '10.1.0.9', sets: ['web', 'shop'] }], local: [local] });
    const copy = ['slots', 'endpoints', 'ipcache4'];
    expect(await writesFor(before, after)).toEqual(['flows4', ...copy, 'generation', ...copy]);
  });

  test('a policy that makes a set of many pods asks for no write of theirs when they move together', async () => {
    const pods = Array.from({ length: 500 }, (_, i) => ({ address: `10.2.${i >> 8}.${i & 255}`, sets: ['many'] }));
    const moved = pods.map((pod) => ({ ...pod, sets: ['many', 'crowd'] }));
    const writes = await writesFor(
      worldState({ pods, rules: [{ peers: ['many'], ports: [80] }] }),
      worldState({
        pods: moved,
        rules: [
          { peers: ['many'], ports: [80] },
          { peers: ['crowd'], ports: [81] },
        ],
      }),
    );
    expect(writes).not.toContain('ipcache4');
    expect(writes.length).toBeLessThan(12);
  });

  test('a state that is in force already is not written', async () => {
    const state = worldState(podsInSets);
    expect(await writesFor(state, state)).toEqual([]);
  });
});

test('an interface that cannot be attached to fails the call, whose changes the next one makes up for', async () => {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  const before = worldState({ pods: [], rules: [{ peers: 'anyone', ports: [80] }] });
  const after = worldState({ pods: [], rules: [{ peers: 'anyone', ports: [81] }] });
  await dataplane.apply(before, undefined);
  const ensure = kernel.attachments.ensure;
  kernel.attachments.ensure = () => {
    throw new Error('no');
  };
  await expect(dataplane.apply(after, changesBetween(before, after))).rejects.toThrow('no');
  kernel.attachments.ensure = ensure;
  await dataplane.apply(after, changesBetween(after, after));
  await dataplane.settled();
  expect([canonicalContent(kernel, 0), canonicalContent(kernel, 1)]).toEqual(await contentAfter([after]));
});

test('a ruleset that a hint does not name is never taken for none, and the next call makes up for it', async () => {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  const after = worldState({ pods: [], rules: [{ peers: 'anyone', ports: [80] }] });
  const { endpoints } = after.compiled;
  const free = new Map([...endpoints].map(([pod, { addresses }]) => [pod, { pod, addresses }]));
  const before = { ...after, compiled: { ...after.compiled, endpoints: free, rulesets: new Map() } };
  await dataplane.apply(before, undefined);
  const hint = { ...changesBetween(before, after), rulesets: new Set<RulesetId>() };
  await expect(dataplane.apply(after, hint)).rejects.toMatchObject({ code: 'UNKNOWN_RULESET' });
  await dataplane.apply(after, changesBetween(after, after));
  await dataplane.settled();
  expect([canonicalContent(kernel, 0), canonicalContent(kernel, 1)]).toEqual(await contentAfter([after]));
});

describe('what does not fit', () => {
  test('is named, changes nothing, and is applied once it fits', async () => {
    const kernel = new FakeKernel({ capacities: { ipcache4: 8, endpoints: 3, ports: 4 } });
    const dataplane = new BpfDataplane(kernel);
    const small = worldState({
      pods: [{ address: '10.1.0.1', sets: ['web'] }],
      rules: [{ peers: ['web'], ports: [80] }],
    });
    await dataplane.apply(small, undefined);
    await dataplane.settled();
    const before = kernel.writes.length;
    const many = Array.from({ length: 9 }, (_, i) => ({ address: `10.1.0.${i}`, sets: ['web'] }));
    const tooMany: [string, World][] = [
      ['ipcache4: 10 needed, there is room for 8', { pods: many, rules: [{ peers: ['web'], ports: [80] }] }],
      ['ports: 5 needed, there is room for 4', { pods: [], rules: [{ peers: 'anyone', ports: [1, 3, 5, 7, 9] }] }],
      [
        'endpoints: 4 needed, there is room for 3',
        {
          pods: [],
          rules: [],
          local: [1, 2].map((i) => ({ ifindex: 50 + i, pod: `ns/${i}`, addresses: [`10.9.0.${i}`] })),
        },
      ],
    ];
    for (const [message, world] of tooMany) {
      await expect(dataplane.apply(worldState(world), undefined)).rejects.toMatchObject({ code: 'CAPACITY', message });
      expect(kernel.writes.length).toBe(before);
    }
    await dataplane.apply(worldState({ pods: many.slice(0, 5), rules: [{ peers: ['web'], ports: [81] }] }), undefined);
    expect(canonicalContent(kernel, kernel.inForce).filter((line) => line.startsWith('ipcache4'))).toHaveLength(6);
  });

  test('10,000 rules of one policy are applied in a moment', async () => {
    const rules = Array.from({ length: 10_000 }, (_, i) => ({
      peers: i % 2 === 0 ? ('anyone' as const) : [`set${i}`],
      ports: [2 * (i % 30_000) + 1],
    }));
    const pods = Array.from({ length: 10 }, (_, i) => ({ address: `10.3.0.${i}`, sets: [`set${2 * i + 1}`] }));
    const kernel = new FakeKernel({ capacities: { ports: 1 << 20 } });
    const dataplane = new BpfDataplane(kernel);
    await dataplane.apply(worldState({ pods, rules }), undefined);
    expect(kernel.map('policy', kernel.inForce).elements.size).toBe(11);
  });

  test('extents that leave no room between them are packed', async () => {
    const kernel = new FakeKernel({ capacities: { ports: 8 } });
    const dataplane = new BpfDataplane(kernel);
    const world = (sets: readonly string[], counts: readonly number[]): DesiredState =>
      worldState({
        pods: sets.map((set, i) => ({ address: `10.3.0.${i}`, sets: [set] })),
        rules: sets.map((set, i) => ({
          peers: [set],
          ports: Array.from({ length: counts[i] as number }, (_, p) => 1 + 2 * p),
        })),
      });
    await dataplane.apply(world(['a', 'b', 'c'], [3, 2, 3]), undefined);
    await dataplane.apply(world(['b'], [2]), undefined);
    await dataplane.apply(world(['b', 'd'], [2, 6]), undefined);
    await dataplane.settled();
    const fresh = new FakeKernel();
    await applyAll(new BpfDataplane(fresh), [world(['b', 'd'], [2, 6])]);
    expect(canonicalContent(kernel, kernel.inForce)).toEqual(canonicalContent(fresh, fresh.inForce));
  });
});

/** Numbers are found again by their holders: every pod has its interface. */
function withAllBound(state: DesiredState): DesiredState {
  const link = (ifindex: number) => ({ ifindex, name: `veth${ifindex}`, addresses: [] });
  const bindings = [...state.compiled.endpoints.keys()].map((pod, i): [number, Binding] => [
    20 + i,
    { kind: 'endpoint', link: link(20 + i), pod, linkLocal: [] },
  ]);
  return { ...state, bindings: new Map(bindings) };
}

function joining({ pods, local = [] }: Pick<World, 'pods' | 'local'>): { before: DesiredState; after: DesiredState } {
  return {
    before: worldState(podsInSets),
    after: worldState({ ...podsInSets, pods: [...podsInSets.pods, ...pods], local }),
  };
}

async function writesFor(before: DesiredState, after: DesiredState): Promise<Write['map'][]> {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  await dataplane.apply(before, undefined);
  await dataplane.settled();
  const start = kernel.writes.length;
  await dataplane.apply(after, changesBetween(before, after));
  await dataplane.settled();
  return kernel.writes.slice(start).map(({ map }) => map);
}

async function contentAfter(states: readonly DesiredState[]): Promise<[string[], string[]]> {
  const kernel = new FakeKernel();
  await applyAll(new BpfDataplane(kernel), states);
  expect(kernel.violations).toEqual([]);
  return [canonicalContent(kernel, 0), canonicalContent(kernel, 1)];
}

async function applyAll(dataplane: BpfDataplane, states: readonly DesiredState[]): Promise<void> {
  let before: DesiredState | undefined;
  for (const state of states) {
    await dataplane.apply(state, before === undefined ? undefined : changesBetween(before, state));
    await dataplane.settled();
    before = state;
  }
}
