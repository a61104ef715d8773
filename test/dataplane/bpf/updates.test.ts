/** Promise 2 on the maps' bytes: after every single write all verdicts are the old state's until one write, and then the new state's. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { changesBetween, desiredState, relatedStates } from './support/random-states.ts';
import { expectedVerdicts, VerdictTable } from './support/verdict-table.ts';

/** As an agent hands them over: where no binding has changed it is the same map, which is not looked through again. */
const states = fc.oneof(relatedStates, fc.array(desiredState, { minLength: 2, maxLength: 4 })).map((list) => {
  const kept: DesiredState[] = [];
  for (const state of list) kept.push(withMapsOf(kept.at(-1), state));
  return kept;
});

function withMapsOf(before: DesiredState | undefined, state: DesiredState): DesiredState {
  if (before === undefined || !isDeepStrictEqual(before.bindings, state.bindings)) return state;
  return { ...state, bindings: before.bindings, exits: before.exits };
}

describe('an update', () => {
  test('changes all verdicts by one write, and no other write changes any', async () => {
    await fc.assert(
      fc.asyncProperty(states, fc.boolean(), async (list, hinted) => {
        const kernel = new FakeKernel();
        const dataplane = new BpfDataplane(kernel);
        await applyWatched(dataplane, kernel, list, hinted);
        expect(kernel.violations).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('that breaks at any write leaves the old state, whole, and the next one puts its state in force', async () => {
    await fc.assert(
      fc.asyncProperty(states, fc.nat(60), async ([first, second, third], failAfter) => {
        const kernel = new FakeKernel();
        const dataplane = new BpfDataplane(kernel);
        await dataplane.apply(first as DesiredState, undefined);
        await dataplane.settled();
        const table = new VerdictTable(kernel);
        const allowed = [expectedVerdicts(first as DesiredState), expectedVerdicts(second as DesiredState)];
        kernel.onWrite = () => expect(allowed).toContain(table.read());
        kernel.failAfter = failAfter;
        const outcome = await dataplane
          .apply(second as DesiredState, changesBetween(first as DesiredState, second as DesiredState))
          .then(() => 'applied' as const)
          .catch(() => 'rejected' as const);
        expect(table.read()).toBe(allowed[outcome === 'applied' ? 1 : 0]);
        await dataplane.settled();
        kernel.failAfter = undefined;
        kernel.onWrite = () => {};
        const last = third ?? (first as DesiredState);
        await dataplane.apply(last, changesBetween(second as DesiredState, last));
        expect(table.read()).toBe(expectedVerdicts(last));
        await dataplane.settled();
        expect(table.readOther()).toBe(table.read());
        expect(kernel.violations).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('cut off by the death of the process is completed by the next agent, from the whole old or new state', async () => {
    await fc.assert(
      fc.asyncProperty(states, fc.nat(80), async ([first, second], failAfter) => {
        const kernel = new FakeKernel();
        const agent = new BpfDataplane(kernel);
        await agent.apply(first as DesiredState, undefined);
        await agent.settled();
        const table = new VerdictTable(kernel);
        const allowed = [expectedVerdicts(first as DesiredState), expectedVerdicts(second as DesiredState)];
        let left = failAfter;
        kernel.onWrite = () => {
          expect(allowed).toContain(table.read());
          if (left-- === 0) kernel.dead = true;
        };
        await agent.apply(second as DesiredState, undefined).catch(() => undefined);
        await agent.settled();
        kernel.dead = false;
        kernel.onWrite = () => expect(allowed).toContain(table.read());
        const next = new BpfDataplane(kernel);
        await next.apply(second as DesiredState, undefined);
        expect(table.read()).toBe(allowed[1]);
        await next.settled();
        expect(table.readOther()).toBe(table.read());
        expect(kernel.violations).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

async function applyWatched(
  dataplane: BpfDataplane,
  kernel: FakeKernel,
  list: readonly DesiredState[],
  hinted: boolean,
): Promise<void> {
  const table = new VerdictTable(kernel);
  let before: DesiredState | undefined;
  for (const state of list) {
    let expected = table.read();
    const flipped = expectedVerdicts(state);
    kernel.onWrite = ({ map }) => {
      if (map === 'generation') expected = flipped;
      expect(table.read()).toBe(expected);
    };
    await dataplane.apply(state, hinted && before !== undefined ? changesBetween(before, state) : undefined);
    expect(table.read()).toBe(flipped);
    await dataplane.settled();
    expect(table.read()).toBe(flipped);
    expect(table.readOther()).toBe(flipped);
    before = state;
  }
}
