/**
 * Random worlds by real connections: BPF and ipset let through what the oracle says, the one after the other in the same lab.
 * The worlds take turns between the two variants of iptables. SELVEDGE_DIFFERENTIAL_WORLDS=200 asks about more worlds, which is
 * `npm run test:differential`; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
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
/** Asked at a time: most of the time is spent waiting for what does not come. */
const ABREAST = 4;

// Each lab and each data plane of them ends with the process.
process.setMaxListeners(100);

describeAsRoot('bpf, ipset and the oracle', () => {
  it('agree on real connections in random worlds', { timeout: 300_000 + worlds * 10_000 }, async () => {
    const sample = fc.sample(worldArbitrary, { seed, numRuns: worlds });
    let judged = 0;
    for (let at = 0; at < worlds; at += ABREAST) {
      const variant = (at / ABREAST) % 2 === 0 ? 'nft' : 'legacy';
      judged += await compare(sample.slice(at, at + ABREAST), ['bpf', variant]);
    }
    console.log(`${judged} connections in ${worlds} worlds of seed ${seed}`);
    expect(judged).toBeGreaterThanOrEqual(worlds * 20);
  });
});

/** The number of connections whose verdicts were compared. */
async function compare(together: readonly World[], planes: readonly PlaneName[]): Promise<number> {
  const played: Played[] = [];
  try {
    for (const world of together) {
      const objects = objectsOf(world);
      const site = await TwoPlanes.start(new TestCluster(objects).objects);
      const asked = questionsOf(world, { atMost: QUESTIONS }).filter(isProbed);
      played.push({ world, site, asked, oracle: oracleFor(objects) });
    }
    for (const plane of planes) {
      // One after the other, and nothing is asked meanwhile: loading programs keeps this process from answering.
      for (const { site } of played) await site.enforce(plane);
      const wrong = (await Promise.all(played.map(differences))).flat();
      if (wrong.length > 0) throw new Error(`${plane}, seed ${seed}: ${JSON.stringify(wrong)}`);
    }
    return played.reduce((sum, { asked }) => sum + asked.length, 0);
  } finally {
    for (const { site } of played) await site.close();
  }
}

interface Played {
  readonly world: World;
  readonly site: TwoPlanes;
  readonly asked: readonly Question[];
  readonly oracle: Oracle;
}

/** Where many processes run an answer may come too late, so what did not arrive is asked about once more. */
async function differences({ world, site, asked, oracle }: Played) {
  const ask = async (questions: readonly Question[]) => {
    const outcomes = await site.lab.probeAll(questions.map(queryOf));
    const judged = questions.map((question, index) => {
      return { question, wanted: verdictOf(oracle, question), outcome: outcomes[index], world };
    });
    return judged.filter(({ wanted, outcome }) => outcome?.verdict !== wanted);
  };
  const first = await ask(asked);
  const late = first.filter(({ outcome }) => outcome?.verdict !== 'allow');
  const again = late.length === 0 ? [] : await ask(late.map(({ question }) => question));
  return [...first.filter((one) => !late.includes(one)), ...again];
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
