/**
 * Random worlds by real connections: BPF and ipset let through what the oracle says, the one after the other in the same lab.
 * The worlds take turns between the two variants of iptables. SELVEDGE_DIFFERENTIAL_WORLDS=200 asks about more worlds, which is
 * `npm run test:differential`; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inParallel } from '../../src/lab/in-parallel.ts';
import type { ProbeOutcome } from '../../src/lab/probe-attempt.ts';
import { parseEnd, type Query } from '../../src/model/query.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { type PlaneName, TwoPlanes } from '../support/kernel/two-planes.ts';
import { type Oracle, oracleFor, type Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf, type World } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';

const worlds = Number(process.env.SELVEDGE_DIFFERENTIAL_WORLDS ?? 10);
const seed = Number(process.env.SELVEDGE_SEED ?? Date.now() % 2 ** 31);
const QUESTIONS = 150;
/** At a time: most of the time is spent waiting for what does not come. */
const ABREAST = 2;

describeAsRoot('bpf, ipset and the oracle', () => {
  it('agree on real connections in random worlds', { timeout: 60_000 + worlds * 10_000 }, async () => {
    const sample = fc.sample(worldArbitrary, { seed, numRuns: worlds });
    const turns = sample.map((world, index) => ({ world, planes: ['bpf', index % 2 ? 'legacy' : 'nft'] as const }));
    let judged = 0;
    await inParallel(turns, ABREAST, async ({ world, planes }) => {
      judged += await compare(world, planes);
    });
    console.log(`${judged} connections in ${worlds} worlds of seed ${seed}`);
    expect(judged).toBeGreaterThanOrEqual(worlds * 20);
  });
});

/** The number of connections whose verdicts were compared. */
async function compare(world: World, planes: readonly PlaneName[]): Promise<number> {
  const objects = objectsOf(world);
  const oracle = oracleFor(objects);
  const asked = questionsOf(world, { atMost: QUESTIONS }).filter(isProbed);
  const site = await TwoPlanes.start(new TestCluster(objects).objects);
  try {
    for (const plane of planes) {
      await site.enforce(plane);
      // Where many processes run an answer may come too late: what did not arrive is asked about once more.
      const first = await differences(site, oracle, asked);
      const late = first.filter(({ outcome }) => outcome?.verdict !== 'allow');
      const wrong = [
        ...first,
        ...(await differences(
          site,
          oracle,
          late.map(({ question }) => question),
        )),
      ].filter((one) => !late.includes(one));
      if (wrong.length > 0) throw new Error(`${plane}, seed ${seed}: ${JSON.stringify({ wrong, world })}`);
    }
    return asked.length;
  } finally {
    await site.close();
  }
}

interface Difference {
  readonly question: Question;
  readonly wanted: 'allow' | 'deny';
  readonly outcome: ProbeOutcome | undefined;
}

async function differences(site: TwoPlanes, oracle: Oracle, asked: readonly Question[]): Promise<Difference[]> {
  const outcomes = await site.lab.probeAll(asked.map(queryOf));
  return asked.flatMap((question, index) => {
    const wanted = verdictOf(oracle, question);
    const outcome = outcomes[index];
    return outcome?.verdict === wanted ? [] : [{ question, wanted, outcome }];
  });
}

/** A pod and itself never leave its own namespace, and other protocols have no connections. */
function isProbed({ protocol, from, to }: Question): boolean {
  return (protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP') && from !== to;
}

function queryOf({ from, to, family, protocol, port = 0 }: Question): Query {
  return { from: parseEnd(from), to: parseEnd(to), family, port, protocol: protocol as Query['protocol'] };
}

function verdictOf(oracle: Oracle, question: Question): 'allow' | 'deny' {
  const answer = oracle.judge(question);
  return answer !== 'no-address' && answer.allowed ? 'allow' : 'deny';
}
