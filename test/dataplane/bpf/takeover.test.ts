/** What an agent finds in force when it comes, and what it says before it knows anything. */
import { afterEach, expect, test, vi } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { Binding } from '../../../src/model/links.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { MapReader } from './support/map-reader.ts';
import { address, podsInSets, type World, worldState } from './support/world-state.ts';

const world: World = {
  ...podsInSets,
  local: [
    { ifindex: 40, pod: 'ns/dual', addresses: ['10.0.0.2', 'fd00::2'] },
    { ifindex: 70_000, pod: 'ns/beyond', addresses: ['fd00::3'] },
  ],
};

afterEach(() => {
  vi.useRealTimers();
});

test('on a fresh directory nothing is in force', () => {
  expect(new BpfDataplane(new FakeKernel()).inForce()).toBeUndefined();
});

test('a restarted agent is told which addresses stand behind which interface', async () => {
  const kernel = new FakeKernel();
  await new BpfDataplane(kernel).apply(worldState(world), undefined);
  const restarted = new BpfDataplane(kernel);
  expect(restarted.inForce()).toEqual(
    new Map([
      [30, ['10.0.0.1']],
      [40, ['10.0.0.2', 'fd00::2']],
      [70_000, ['fd00::3']],
    ]),
  );
  kernel.attachments.alive = (ifindex) => ifindex !== 40;
  expect(restarted.inForce()?.has(40)).toBe(false);
});

test('programs of another layout are in force, though nothing is known of whom they stand for', () => {
  const kernel = new FakeKernel();
  kernel.attachments.ensure(30, 'pod');
  expect(new BpfDataplane(kernel).inForce()).toEqual(new Map());
});

test.each(['open', 'closed'] as const)('interfaces are %s from the beginning where that is said', async (pending) => {
  const kernel = new FakeKernel();
  const verdict = () => {
    const [source, destination] = [address('10.9.0.1'), address('10.9.0.2')];
    return new MapReader(kernel).judge({ from: 50, source, destination, ports: [] }).pending;
  };
  const dataplane = new BpfDataplane(kernel);
  await dataplane.begin(pending);
  expect(verdict()).toBe(pending);
  dataplane.guard(50);
  await dataplane.settled();
  expect(kernel.attachments.attached()).toEqual([{ ifindex: 50, role: 'pod' }]);
  const writes = kernel.writes.length;
  await dataplane.begin(pending === 'open' ? 'closed' : 'open');
  expect(kernel.writes.length).toBe(writes);
  expect(kernel.violations).toEqual([]);
});

test('a beginning takes nothing away that an agent of another layout has attached', async () => {
  const kernel = new FakeKernel();
  kernel.attachments.ensure(30, 'pod');
  kernel.attachments.ensure(31, 'exit');
  let removed = false;
  kernel.removeOtherLayouts = () => {
    removed = true;
  };
  const dataplane = new BpfDataplane(kernel);
  await dataplane.begin('closed');
  await dataplane.settled();
  expect(kernel.attachments.attached()).toHaveLength(2);
  expect(removed).toBe(false);
  await dataplane.apply(worldState(world), undefined);
  await dataplane.settled();
  expect(kernel.attachments.attached().map(({ ifindex }) => ifindex)).toEqual([30, 40, 70_000]);
  expect(removed).toBe(true);
});

test('a program that cannot be taken over undoes no state: it is told, and tried again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const kernel = new FakeKernel();
  let removed = 0;
  kernel.removeOtherLayouts = () => {
    removed++;
  };
  const error = new Error('no memory');
  kernel.attachments.stale.set('pod 30', error);
  const dataplane = new BpfDataplane(kernel);
  const applied = await dataplane.apply(worldState(world), undefined);
  await dataplane.settled();
  expect(applied).toMatchObject({ generation: 1n, stale: [{ ifindex: 30, role: 'pod', error }] });
  expect(kernel.inForce).toBe(1);
  vi.runOnlyPendingTimers();
  expect(removed).toBe(0);
  kernel.attachments.stale.clear();
  vi.runOnlyPendingTimers();
  expect(removed).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
  expect(await dataplane.apply(worldState(world), undefined)).not.toHaveProperty('stale');
});

test('a state comes into force when the programs of its pods are there; an unknown interface holds up no state', async () => {
  const kernel = new FakeKernel();
  const state = worldState(world);
  const dataplane = new BpfDataplane(kernel);
  const { promise, resolve } = Promise.withResolvers<void>();
  kernel.attachments.attaching = promise;
  const applying = dataplane.apply(state, undefined);
  const guarding = dataplane.guard(50);
  await new Promise((done) => setImmediate(done));
  expect(kernel.generation.load()).toBe(0n);
  resolve();
  await applying;
  await guarding;
  expect(kernel.generation.load()).toBe(1n);

  kernel.attachments.attaching = new Promise(() => {});
  void dataplane.guard(60);
  const link = { ifindex: 60, name: 'unknown', addresses: [] };
  const pending = { kind: 'pending', link, verdict: 'closed', reason: 'unknown' } as const;
  const bindings = new Map<number, Binding>([...state.bindings, [60, pending]]);
  await dataplane.apply({ ...state, bindings }, undefined);
  expect(kernel.generation.load()).toBe(2n);
});

test('an interface whose programs could not be attached is tried again by the next state', async () => {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  kernel.attachments.attaching = Promise.reject(new Error('no memory'));
  kernel.attachments.attaching.catch(() => {});
  await expect(dataplane.guard(30)).rejects.toThrow('no memory');
  const state = worldState(world);
  await expect(dataplane.apply(state, undefined)).rejects.toThrow('no memory');
  expect(kernel.generation.load()).toBe(0n);
  kernel.attachments.attaching = undefined;
  await dataplane.apply(state, undefined);
  expect(kernel.attachments.attached()).toHaveLength(3);
  expect(kernel.violations).toEqual([]);
});

test('an unknown interface is as the settings say, without a row, and one that differs from them has one', async () => {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  const link = { ifindex: 50, name: 'veth50', addresses: [] };
  const reason = 'no pod of this node has its address';
  const state = worldState(world);
  const bindings = new Map(state.bindings).set(50, { kind: 'pending', link, verdict: 'closed', reason } as Binding);
  const verdict = () => {
    const [source, destination] = [address('10.9.0.1'), address('10.9.0.2')];
    return new MapReader(kernel).judge({ from: 50, source, destination, ports: [] }).pending;
  };
  await dataplane.apply({ ...state, pending: 'closed' }, undefined);
  await dataplane.settled();
  const seen = await dataplane.apply({ ...state, pending: 'closed', bindings }, undefined);
  expect([seen.writes, seen.generation, verdict()]).toEqual([0, 1n, 'closed']);
  // The very same bindings, and no pod that has changed.
  const nothing = { endpoints: new Set(), addresses: new Set(), rulesets: new Set(), sets: new Set() } as const;
  await dataplane.apply({ ...state, pending: 'open', bindings }, nothing as never);
  expect(verdict()).toBe('closed');
  const back = await dataplane.apply({ ...state, pending: 'open' }, undefined);
  expect([back.writes > 0, verdict()]).toEqual([true, 'open']);
  await dataplane.settled();
  expect(kernel.violations).toEqual([]);
});

const NUMBERS = [0n, 1n, 2n, 7n, 8n, 2n ** 40n];

test.each(NUMBERS.flatMap((inForce) => NUMBERS.map((taken) => ({ inForce, taken }))))(
  'the states after $inForce have numbers above $taken, where verdicts of others may stand, and in turns of either copy',
  async ({ inForce, taken }) => {
    const kernel = new FakeKernel();
    kernel.generation.store(inForce);
    kernel.generation.taken = taken;
    const dataplane = new BpfDataplane(kernel);
    let before = inForce;
    for (const port of [80, 81, 82]) {
      const state = worldState({ pods: [], rules: [{ peers: 'anyone', ports: [port] }] });
      const { generation } = await dataplane.apply(state, undefined);
      await dataplane.settled();
      const highest = before > taken ? before : taken;
      expect([1n, 2n]).toContain(generation - highest);
      expect((generation - before) % 2n).toBe(1n);
      before = generation;
    }
    expect(kernel.violations).toEqual([]);
  },
);
