/**
 * The compiled state against the oracle on random worlds: every verdict, the policies that isolate, and the rule
 * that admits. SELVEDGE_WORLDS=20000 asks about more worlds; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DirectionVerdict } from '../../src/model/verdict.ts';
import {
  type Answer,
  type DirectionVerdict as OracleVerdict,
  oracleFor,
  type Question,
} from '../support/oracle/oracle.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf, type World } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';
import { type CommonVerdict, NodeViews } from './node-views.ts';

const worlds = Number(process.env.SELVEDGE_WORLDS ?? 300);
const seed = process.env.SELVEDGE_SEED;
const least = worlds < 300 ? 1 : 50_000;

test('the compiled states of all nodes judge as the oracle does', { timeout: 120_000 + worlds * 100 }, () => {
  let judged = 0;
  fc.assert(
    fc.property(worldArbitrary, (world) => {
      judged += compare(world);
    }),
    { numRuns: worlds, ...(seed !== undefined && { seed: Number(seed) }) },
  );
  expect(judged).toBeGreaterThanOrEqual(least);
});

/** The number of verdicts that were compared. */
function compare(world: World): number {
  const objects = objectsOf(world);
  const oracle = oracleFor(objects);
  const views = new NodeViews(objects);
  const questions = questionsOf(world, { atMost: 600 });
  for (const question of questions) {
    const fault = disagreement(oracle.judge(question), views.judge(question));
    if (fault !== undefined) throw new Error(`${fault}: ${describe(question)}`);
  }
  return questions.length;
}

function disagreement(oracle: Answer, ours: CommonVerdict | undefined): string | undefined {
  if (oracle === 'no-address') return ours === undefined ? undefined : 'a verdict where there is none';
  if (ours === undefined) return 'no verdict';
  if (oracle.allowed !== ours.allowed) return `${ours.allowed ? 'allowed' : 'denied'}, against the oracle`;
  return inDirection('egress', oracle.egress, ours.egress) ?? inDirection('ingress', oracle.ingress, ours.ingress);
}

function inDirection(name: string, oracle: OracleVerdict, ours: DirectionVerdict | undefined): string | undefined {
  const isolatedBy = ours?.isolatedBy ?? [];
  if ([...oracle.isolatedBy].sort().join() !== isolatedBy.join()) return `${name} isolated by ${isolatedBy}`;
  if (oracle.allowed !== (ours?.allowed ?? true)) return `${name} is ${ours?.reason}`;
  const by = ours?.by;
  if (by === undefined || oracle.admittedBy.some(({ policy, rule }) => policy === by.policy && rule === by.index))
    return;
  return `${name} admitted by ${by.policy} rule ${by.index}`;
}

function describe(question: Question): string {
  return JSON.stringify(question);
}
