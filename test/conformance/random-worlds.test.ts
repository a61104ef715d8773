/**
 * Random worlds through the kernel: every verdict of the packets is the oracle's. SELVEDGE_KERNEL_WORLDS=5000 asks about
 * more worlds; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../support/kernel/cluster.ts';
import { KernelSite } from '../support/kernel/kernel-site.ts';
import { enforce, journeyOf } from '../support/kernel/site.ts';
import { oracleFor } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf, type World } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';

const worlds = Number(process.env.SELVEDGE_KERNEL_WORLDS ?? 150);
const seed = process.env.SELVEDGE_SEED;
const QUESTIONS = 400;

describeAsRoot('the kernel', () => {
  let site: KernelSite;

  beforeAll(() => {
    site = new KernelSite('worlds');
  });

  afterAll(() => site?.close());

  it('judges packets of random worlds as the oracle does', { timeout: 120_000 + worlds * 400 }, async () => {
    let judged = 0;
    await fc.assert(
      fc.asyncProperty(worldArbitrary, async (world) => {
        judged += await compare(site, world);
      }),
      { numRuns: worlds, ...(seed !== undefined && { seed: Number(seed) }) },
    );
    console.log(`${judged} verdicts of ${worlds} worlds`);
    expect(judged).toBeGreaterThanOrEqual(worlds * 50);
  });
});

/** The number of verdicts that were compared. */
async function compare(site: KernelSite, world: World): Promise<number> {
  const objects = objectsOf(world);
  const oracle = oracleFor(objects);
  const cluster = new TestCluster(objects);
  await enforce(site, cluster);
  const questions = questionsOf(world, { atMost: QUESTIONS });
  for (const question of questions) {
    const answer = oracle.judge(question);
    const journey = journeyOf(cluster, question);
    if (answer === 'no-address' || journey === undefined) throw new Error(`no address: ${JSON.stringify(question)}`);
    const arrival = site.send(journey);
    if ((arrival === 'delivered') !== answer.allowed) {
      throw new Error(
        `${arrival}, which the oracle ${answer.allowed ? 'allows' : 'denies'}: ${JSON.stringify(question)}`,
      );
    }
  }
  return questions.length;
}
