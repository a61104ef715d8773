/** Promise 2 with a fault after every single write: it fails, or the process dies; then another agent comes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { relatedStates } from './support/random-states.ts';
import { expectedVerdicts, VerdictTable } from './support/verdict-table.ts';

const PAIRS = 2;

test.each(['fails', 'is the last of its process'] as const)(
  'whichever write of an update %s, no verdict is of neither state, and the next agent ends in the new one',
  { timeout: 120_000 },
  async (fault) => {
    let faults = 0;
    for (const [first, second] of fc.sample(relatedStates, { numRuns: PAIRS, seed: 11 }) as DesiredState[][]) {
      for (let at = 0; await interrupt([first as DesiredState, second as DesiredState], fault, at); at++) faults++;
    }
    expect(faults).toBeGreaterThan(10 * PAIRS);
  },
);

/** @returns false when the update and what follows it have fewer writes than that */
async function interrupt(
  [first, second]: readonly [DesiredState, DesiredState],
  fault: 'fails' | 'is the last of its process',
  at: number,
): Promise<boolean> {
  const kernel = new FakeKernel();
  const agent = new BpfDataplane(kernel);
  await agent.apply(first, undefined);
  await agent.settled();
  const table = new VerdictTable(kernel);
  const states = [expectedVerdicts(first), expectedVerdicts(second)];
  let flipped = false;
  const check = (map?: string) => {
    if (map === 'generation') flipped = true;
    expect(table.read()).toBe(states[flipped ? 1 : 0]);
  };
  let writes = 0;
  kernel.onWrite = ({ map }) => {
    check(map);
    if (fault === 'is the last of its process' && writes++ === at) kernel.dead = true;
  };
  if (fault === 'fails') kernel.failAfter = at;
  await agent.apply(second, undefined).catch(() => undefined);
  await agent.settled();
  const happened = fault === 'fails' ? kernel.failAfter === undefined : kernel.dead;
  check();
  kernel.onWrite = ({ map }) => check(map);
  kernel.dead = false;
  kernel.failAfter = undefined;
  const next = new BpfDataplane(kernel);
  await next.apply(second, undefined);
  expect(table.read()).toBe(states[1]);
  await next.settled();
  expect(table.readOther()).toBe(states[1]);
  expect(kernel.violations).toEqual([]);
  return happened;
}
