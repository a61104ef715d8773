/**
 * Promise 2 on the kernel: threads run packets through the programs while states are put in force as fast as grace periods
 * allow, and every verdict is one that a whole state gives. What two states both admit or both deny, each for other
 * reasons, shows any mixture. SELVEDGE_MIX_SECONDS=60 hammers longer; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DesiredState } from '../../src/dataplane/contract.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import type { CompiledState } from '../../src/model/compiled.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { type Place, TestCluster } from '../support/kernel/cluster.ts';
import { Hammer, type HammerStep } from '../support/kernel/hammer.ts';
import { type KernelNode, KernelSite } from '../support/kernel/kernel-site.ts';
import { firstPacket, ipFrame, protocolNumber, tcpHeader } from '../support/kernel/packets.ts';
import { desiredState, type Journey, journeyOf } from '../support/kernel/site.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { oracleFor, type Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { pairOfWorlds } from '../support/worlds/pair-of-worlds.ts';
import { questionsOfBoth } from '../support/worlds/questions.ts';
import { objectsOf } from '../support/worlds/world.ts';

const seconds = Number(process.env.SELVEDGE_MIX_SECONDS ?? 6);
const seed = Number(process.env.SELVEDGE_SEED ?? 20264);
const THREADS = 2;
/** Of each pair of states, however long a loaded machine's grace periods are. */
const LEAST_FLIPS = 10;
const LEAST_PAIRS = 4;

const web = { matchLabels: { app: 'web' } };
const api = { matchLabels: { app: 'api' } };
const fromWeb = [{ from: [{ podSelector: web }] }];
const toApi = [{ to: [{ podSelector: api }] }];

function directions({ out, into }: { out: boolean; into: boolean }): ClusterObject[] {
  return [
    ...cast,
    policy('shop/web', { podSelector: web, policyTypes: ['Egress'], egress: out ? toApi : [] }),
    policy('shop/api', { podSelector: api, ingress: into ? fromWeb : [] }),
  ];
}

function labelled(labels: Record<string, string>, admitted: string): ClusterObject[] {
  const objects = cast.map((object) =>
    object.kind === 'Pod' && object.metadata.name === 'web' && object.metadata.namespace === 'shop'
      ? { ...object, metadata: { ...object.metadata, labels } }
      : object,
  );
  const ingress = [{ from: [{ podSelector: { matchLabels: { role: admitted } } }] }];
  return [...objects, policy('shop/api', { podSelector: api, ingress })];
}

/** Two states that give the same verdict, which no mixture of them gives. */
const handMade: readonly { name: string; states: [ClusterObject[], ClusterObject[]]; verdict: 'passed' | 'dropped' }[] =
  [
    {
      name: 'egress tightens while ingress opens',
      states: [directions({ out: true, into: false }), directions({ out: false, into: true })],
      verdict: 'dropped',
    },
    {
      name: 'a label and the rule that asks for it change together',
      states: [labelled({ role: 'red' }, 'red'), labelled({ role: 'blue' }, 'blue')],
      verdict: 'passed',
    },
    {
      name: 'a label moves away from a rule that moves after it',
      states: [labelled({ role: 'red' }, 'blue'), labelled({ role: 'blue' }, 'red')],
      verdict: 'dropped',
    },
  ];

describeAsRoot('the kernel, while states change', () => {
  let site: KernelSite;

  beforeAll(() => {
    site = new KernelSite('mix');
  });

  afterAll(() => site?.close());

  for (const { name, states, verdict } of handMade) {
    it(`sees whole states only: ${name}`, { timeout: 120_000 + seconds * 1000 }, async () => {
      const questions: Question[] = [
        { from: 'shop/web', to: 'shop/api', family: 'IPv4', protocol: 'TCP', port: 8081 },
        { from: 'shop/web', to: 'shop/api', family: 'IPv6', protocol: 'UDP', port: 53 },
      ];
      const { flips, runs, mixed, verdicts } = await hammer(site, states, questions, seconds * 250);
      console.log(`${name}: ${flips} states, ${runs} verdicts`);
      expect([...new Set(verdicts)]).toEqual([verdict]);
      expect(mixed).toEqual([]);
    });
  }

  it('sees whole states only: random pairs of worlds', { timeout: 120_000 + seconds * 3000 }, async () => {
    const end = performance.now() + seconds * 1000;
    const pairs = fc.sample(pairOfWorlds, { seed, numRuns: 200 });
    const total = { pairs: 0, flips: 0, runs: 0, questions: 0 };
    for (const { before, after } of pairs) {
      if (performance.now() > end && total.pairs >= LEAST_PAIRS) break;
      const states: [ClusterObject[], ClusterObject[]] = [objectsOf(before), objectsOf(after)];
      const questions = questionsOfBoth(before, after, { atMost: 300 });
      const { flips, runs, mixed, verdicts } = await hammer(site, states, questions, 150);
      if (verdicts.length === 0) continue;
      expect(mixed, JSON.stringify({ before, after })).toEqual([]);
      total.pairs++;
      total.flips += flips;
      total.runs += runs;
      total.questions += verdicts.length;
    }
    console.log(
      `${total.pairs} pairs of worlds, ${total.questions} questions, ${total.flips} states, ${total.runs} verdicts`,
    );
    expect(total.pairs).toBeGreaterThanOrEqual(LEAST_PAIRS);
  });
});

type Verdict = 'passed' | 'dropped';

/** One run of one hook, and the verdict that both states give there. */
interface Asked {
  readonly name: string;
  readonly step: HammerStep;
  readonly verdict: Verdict;
}

interface Outcome {
  readonly flips: number;
  readonly runs: number;
  /** Runs with a verdict that no whole state gives, in words. */
  readonly mixed: readonly string[];
  readonly verdicts: readonly Verdict[];
}

/** Applies two states of node1 by turns for some milliseconds while threads ask. */
async function hammer(
  site: KernelSite,
  states: readonly [ClusterObject[], ClusterObject[]],
  questions: readonly Question[],
  milliseconds: number,
): Promise<Outcome> {
  const node = await site.node('node1');
  const clusters = states.map((objects) => new TestCluster(objects));
  const compiled = clusters.map((cluster) => cluster.compilerOf('node1').state);
  // Both states' pods keep their seats throughout, so that a packet means the same in both.
  const seats = node.seatsOf(new Set(compiled.flatMap(({ endpoints }) => [...endpoints.keys()])));
  const seatsOf = (pods: Iterable<ObjectKey>) => new Map([...pods].map((pod) => [pod, seats.get(pod) as number]));
  const desired = clusters.map((cluster, which) => {
    const state = compiled[which] as CompiledState;
    return desiredState({ exit: node.exit, seatsOf }, state, cluster.ownAddresses('node1'));
  });
  const apply = async (which: number) => node.dataplane.apply(desired[which % 2] as DesiredState, undefined);
  await apply(0);
  const asked = askedOf(node, { site, states, clusters, compiled }, questions);
  if (asked.length === 0) return { flips: 0, runs: 0, mixed: [], verdicts: [] };
  const steps = asked.map(({ step }) => step);
  const threads = await Hammer.start(THREADS, { namespace: site.namespace.name, steps });
  const end = performance.now() + milliseconds;
  let flips = 0;
  while (performance.now() < end || flips < LEAST_FLIPS) await apply(++flips);
  const { runs, counts } = await threads.end();
  const mixed = asked.flatMap(({ name, verdict }, index) => {
    const wrong = counts[index]?.[verdict === 'passed' ? 'dropped' : 'passed'] ?? 0;
    return wrong > 0 ? [`${wrong} of ${runs / asked.length} not ${verdict}: ${name}`] : [];
  });
  return { flips, runs, mixed, verdicts: asked.map(({ verdict }) => verdict) };
}

interface BothStates {
  readonly site: KernelSite;
  readonly states: readonly [ClusterObject[], ClusterObject[]];
  readonly clusters: readonly TestCluster[];
  readonly compiled: readonly CompiledState[];
}

/**
 * Questions between two pods of the node that are the same pods in both states, which one run of `to_pod` decides for both
 * of them, and that have the same verdict in both; where that is to pass also the reply, on its way out and in.
 */
function askedOf(node: KernelNode, both: BothStates, questions: readonly Question[]): Asked[] {
  const { site, states, clusters, compiled } = both;
  const oracles = states.map(oracleFor);
  const lasts = (place: Place) =>
    place.kind === 'pod' &&
    new Set(compiled.map(({ endpoints }) => endpoints.get(place.pod)?.addresses.join())).size === 1 &&
    compiled.every(({ endpoints }) => endpoints.has(place.pod));
  return questions.flatMap((question, index): Asked[] => {
    // Without ports all packets between two pods are of one connection.
    if (typeof question.protocol === 'number') return [];
    const [journey, other] = clusters.map((cluster) => journeyOf(cluster, question));
    if (journey === undefined || other === undefined || !lasts(journey.from) || !lasts(journey.to)) return [];
    if (journey.from.address === journey.to.address || journey.from.address !== other.from.address) return [];
    const verdicts = oracles.map((oracle) => {
      const answer = oracle.judge(question);
      return answer !== 'no-address' && answer.allowed ? 'passed' : 'dropped';
    });
    if (verdicts[0] !== verdicts[1]) return [];
    return site.namespace.run(() => stepsOf(node, journey, 20_000 + index, verdicts[0] as Verdict, question));
  });
}

function stepsOf(
  node: KernelNode,
  { from, to, protocol, port }: Journey,
  sourcePort: number,
  verdict: Verdict,
  question: Question,
): Asked[] {
  if (from.kind !== 'pod' || to.kind !== 'pod') return [];
  const [sender, receiver] = [node.seatOf(from.pod), node.seatOf(to.pod)];
  const name = JSON.stringify(question);
  const packet = firstPacket({ source: from.address, destination: to.address, protocol, port, sourcePort });
  const request = node.pass(packet, sender, receiver);
  const asked: Asked[] = [{ name, step: { programId: node.program('to_pod').info.id, ...request }, verdict }];
  if (verdict === 'dropped' || protocol !== 'TCP') return asked;
  const number = from.address.includes(':') ? 6 : 4;
  const answer = ipFrame(
    to.address,
    from.address,
    protocolNumber('TCP', number),
    tcpHeader(port, sourcePort, 'SYN', 'ACK'),
  );
  const reply = node.pass(answer, receiver, sender);
  const leaving = { packet: answer, ifindex: receiver, ingressIfindex: receiver, mark: 0 };
  return [
    ...asked,
    { name: `reply to ${name}`, step: { programId: node.program('from_pod').info.id, ...leaving }, verdict },
    { name: `arrival of the reply to ${name}`, step: { programId: node.program('to_pod').info.id, ...reply }, verdict },
  ];
}
