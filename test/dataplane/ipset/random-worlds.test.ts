/**
 * Random worlds through sets and chains: every verdict of the packets is the oracle's. SELVEDGE_IPSET_WORLDS=200 asks about
 * more worlds; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../../support/kernel/cluster.ts';
import { enforce, journeyOf } from '../../support/kernel/site.ts';
import { oracleFor } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { questionsOf } from '../../support/worlds/questions.ts';
import { objectsOf, type World } from '../../support/worlds/world.ts';
import { worldArbitrary } from '../../support/worlds/world-arbitrary.ts';
import { PacketSite } from './support/packet-site.ts';

const worlds = Number(process.env.SELVEDGE_IPSET_WORLDS ?? 10);
const seed = process.env.SELVEDGE_SEED;
const QUESTIONS = 300;

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let site: PacketSite;

    beforeAll(() => {
      site = new PacketSite(`worlds-${variant}`, { variant });
    });

    afterAll(() => site?.close());

    it('judge packets of random worlds as the oracle does', { timeout: 60_000 + worlds * 2000 }, async () => {
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
}

/** The number of verdicts that were compared. */
async function compare(site: PacketSite, world: World): Promise<number> {
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
      const text = `${arrival}, which the oracle ${answer.allowed ? 'allows' : 'denies'}`;
      throw new Error(`${text}: ${JSON.stringify(question)}`);
    }
  }
  return questions.length;
}
