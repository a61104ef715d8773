/** Random worlds through a kernel: every verdict of their packets is the oracle's. SELVEDGE_SEED repeats a run. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { TestCluster } from '../kernel/cluster.ts';
import { enforce, journeyOf, type Site } from '../kernel/site.ts';
import { oracleFor } from '../oracle/oracle.ts';
import { questionsOf } from './questions.ts';
import { objectsOf, type World } from './world.ts';
import { worldArbitrary } from './world-arbitrary.ts';

const seed = process.env.SELVEDGE_SEED;

/** @param questions the most that are asked of one world */
export async function judgeRandomWorlds(site: Site, { worlds, questions }: { worlds: number; questions: number }) {
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(worldArbitrary, async (world) => {
      judged += await compare(site, world, questions);
    }),
    { numRuns: worlds, ...(seed !== undefined && { seed: Number(seed) }) },
  );
  console.log(`${judged} verdicts of ${worlds} worlds`);
  expect(judged).toBeGreaterThanOrEqual(worlds * 50);
}

/** The number of verdicts that were compared. */
async function compare(site: Site, world: World, atMost: number): Promise<number> {
  const objects = objectsOf(world);
  const oracle = oracleFor(objects);
  const cluster = new TestCluster(objects);
  await enforce(site, cluster);
  const questions = questionsOf(world, { atMost });
  for (const question of questions) {
    const answer = oracle.judge(question);
    const journey = journeyOf(cluster, question);
    if (answer === 'no-address' || journey === undefined) throw new Error(`no address: ${JSON.stringify(question)}`);
    const arrival = site.send(journey);
    if ((arrival === 'delivered') !== answer.allowed) {
      const text = `${arrival}, which the oracle ${answer.allowed ? 'allows' : 'denies'}`;
      throw new Error(`${text}: ${JSON.stringify(question)}`);
    }
  }
  return questions.length;
}
