/**
 * Promise 2 for packets that lie in queues: what has left a pod under one state, and goes on after many more and after the
 * agent's restart, is judged by the state that is in force then, and by that one alone. SELVEDGE_HELD_PAIRS=200 holds more
 * packets by test-run; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DesiredState } from '../../src/dataplane/contract.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { type Place, TestCluster } from '../support/kernel/cluster.ts';
import { NO_ATTACHMENTS, openTestDataplane, type TestDataplane } from '../support/kernel/dataplanes.ts';
import { type FirstPacket, firstPacket, followingPacket } from '../support/kernel/packets.ts';
import { desiredState, type Journey, journeyOf } from '../support/kernel/site.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { type Oracle, oracleFor, type Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { type PairOfWorlds, pairOfWorlds } from '../support/worlds/pair-of-worlds.ts';
import { questionsOfBoth } from '../support/worlds/questions.ts';
import { objectsOf } from '../support/worlds/world.ts';

const pairs = Number(process.env.SELVEDGE_HELD_PAIRS ?? 3);
const seed = Number(process.env.SELVEDGE_SEED ?? 20265);
const NODE = 'node1';
const QUESTIONS = 400;
/** Which of the two states comes next, or an agent that starts on what is there. */
const CHANGES = [1, 0, 1, 'restart', 1, 0, 'restart', 1] as const;

const SEATS = 40;
const SHOT = 2;

interface State {
  readonly cluster: TestCluster;
  readonly oracle: Oracle;
  readonly desired: DesiredState;
}

type Verdict = 'passed' | 'dropped';

/** On its way between from_pod and the next hook. */
interface Held {
  readonly question: Question;
  readonly journey: Journey;
  readonly which: 'request' | 'reply';
  readonly packet: Uint8Array;
  readonly mark: number;
  readonly sender: ObjectKey;
  readonly next: { readonly hook: 'to_pod' | 'to_node'; readonly ifindex: number; readonly pod?: ObjectKey };
}

describeAsRoot('packets held between two hooks', () => {
  let namespace: TestNamespace;
  let opened: TestDataplane;

  beforeAll(async () => {
    const seats = Array.from({ length: SEATS }, (_, seat) => `seat${seat}`);
    namespace = new TestNamespace('held', ['uplink', ...seats]);
    opened = await openTestDataplane({
      mapSizes: { endpoints: 4096, flowsPerEndpoint: 1024 },
      replace: () => ({ attachments: NO_ATTACHMENTS }),
    });
  });

  afterAll(() => {
    opened?.remove();
    namespace?.close();
  });

  it('are judged by the state in force when they go on', { timeout: 120_000 + pairs * 6000 }, async () => {
    const total = { held: 0, verdicts: 0, changed: 0, orphans: 0 };
    for (const pair of tellingPairs()) {
      try {
        const counts = await hold(pair);
        for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counts[name];
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${JSON.stringify(pair)}`, { cause: error });
      }
    }
    console.log(
      `${pairs} pairs of worlds: ${total.held} packets held, ${total.verdicts} verdicts, ` +
        `${total.changed} other than when they left, ${total.orphans} of pods that had gone`,
    );
    expect(total.changed).toBeGreaterThan(pairs);
  });

  async function hold({ before, after }: PairOfWorlds) {
    const seats = new Map<ObjectKey, number>();
    const states = [before, after].map((world) => stateOf(world, seats));
    await opened.dataplane.apply((states[0] as State).desired, undefined);
    const held = send(states as [State, State], questionsOfBoth(before, after, { atMost: QUESTIONS }), seats);
    const counts = { held: held.length, verdicts: 0, changed: 0, orphans: 0 };
    let current = states[0] as State;
    for (const change of CHANGES) {
      if (change === 'restart') opened = await opened.restart();
      else {
        current = states[change] as State;
        await opened.dataplane.apply(current.desired, undefined);
      }
      for (const packet of held) {
        const got = goOn(packet, seats);
        const { verdicts, orphan } = expected(packet, states as [State, State], current);
        if (!verdicts.includes(got)) {
          const { question, which, next } = packet;
          throw new Error(`${which} ${got} at ${next.hook}, not ${verdicts}: ${JSON.stringify(question)}`);
        }
        counts.verdicts++;
        if (orphan) counts.orphans++;
        if (!expected(packet, states as [State, State], states[0] as State).verdicts.includes(got)) counts.changed++;
      }
    }
    return counts;
  }

  function stateOf(world: PairOfWorlds['before'], seats: Map<ObjectKey, number>): State {
    const objects = objectsOf(world);
    const cluster = new TestCluster(objects);
    const exit = { ifindex: namespace.ifindexes[0] as number, name: 'uplink' };
    const seatsOf = (pods: Iterable<ObjectKey>) => {
      const wanted = [...pods];
      for (const pod of wanted) {
        if (!seats.has(pod)) seats.set(pod, namespace.ifindexes[seats.size + 1] as number);
      }
      return new Map(wanted.map((pod) => [pod, seats.get(pod) as number]));
    };
    const compiled = cluster.compilerOf(NODE).state;
    const desired = desiredState({ exit, seatsOf }, compiled, cluster.ownAddresses(NODE));
    return { cluster, oracle: oracleFor(objects), desired };
  }

  /** Requests, and replies of the connections that the first state admits, as far as the hooks at their senders. */
  function send(
    [first]: [State, State],
    questions: readonly Question[],
    seats: ReadonlyMap<ObjectKey, number>,
  ): Held[] {
    return questions.flatMap((question, index): Held[] => {
      // Without ports all packets between two pods are of one connection.
      const journey = typeof question.protocol === 'number' ? undefined : journeyOf(first.cluster, question);
      if (journey?.from.kind !== 'pod' || journey.from.node !== NODE) return [];
      const { from, to, protocol, port } = journey;
      if (from.address === to.address || (to.kind === 'node' && to.node === NODE)) return [];
      const opening = { source: from.address, destination: to.address, protocol, port, sourcePort: 20_000 + index };
      const sent = { question, journey, which: 'request', packet: firstPacket(opening), sender: from.pod } as const;
      const mark = leave(sent.packet, seats.get(from.pod) as number);
      const request: Held = { ...sent, mark, next: nextHook(to, seats) };
      const answers = request.next.hook === 'to_pod' && goOn(request, seats) === 'passed';
      return answers ? [request, answer(request, opening, seats)] : [request];
    });
  }

  function answer(request: Held, opening: FirstPacket, seats: ReadonlyMap<ObjectKey, number>): Held {
    const packet = followingPacket(opening, 'reply');
    const sender = request.next.pod as ObjectKey;
    const mark = leave(packet, seats.get(sender) as number);
    return { ...request, which: 'reply', packet, sender, mark, next: nextHook(request.journey.from, seats) };
  }

  function nextHook(to: Place, seats: ReadonlyMap<ObjectKey, number>): Held['next'] {
    if (to.kind !== 'pod' || to.node !== NODE) return { hook: 'to_node', ifindex: namespace.ifindexes[0] as number };
    return { hook: 'to_pod', ifindex: seats.get(to.pod) as number, pod: to.pod };
  }

  /** @returns the mark */
  function leave(packet: Uint8Array, ifindex: number): number {
    const context = { ifindex, ingressIfindex: ifindex, mark: 0 };
    const left = namespace.run(() => opened.kernel.object.program('from_pod').testRun({ packet, context }));
    if (left.returnValue === SHOT) throw new Error('dropped at from_pod');
    return left.context?.mark ?? 0;
  }

  function goOn({ packet, mark, sender, next }: Held, seats: ReadonlyMap<ObjectKey, number>): Verdict {
    const context = { ifindex: next.ifindex, ingressIfindex: seats.get(sender) as number, mark };
    const { returnValue } = namespace.run(() => opened.kernel.object.program(next.hook).testRun({ packet, context }));
    return returnValue === SHOT ? 'dropped' : 'passed';
  }
});

/** Those whose second state judges a good part of the questions otherwise than the first. */
function tellingPairs(): PairOfWorlds[] {
  const drawn = fc.sample(pairOfWorlds, { seed, numRuns: 12 * pairs });
  const changed = drawn.map((pair) => {
    const { before, after } = pair;
    const [first, second] = [before, after].map((world) => oracleFor(objectsOf(world))) as [Oracle, Oracle];
    const answers = questionsOfBoth(before, after, { atMost: QUESTIONS }).filter((question) => {
      const [one, other] = [first.judge(question), second.judge(question)];
      return one !== 'no-address' && other !== 'no-address' && one.allowed !== other.allowed;
    });
    return { pair, count: answers.length };
  });
  return changed
    .sort((a, b) => b.count - a.count)
    .slice(0, pairs)
    .map(({ pair }) => pair);
}

/** What the state in force says; where an end has become another one, what it or the state of its departure does. */
function expected(
  held: Held,
  states: readonly [State, State],
  current: State,
): { readonly verdicts: readonly Verdict[]; readonly orphan?: true } {
  const { question, journey, which, sender, next } = held;
  const bound = ({ desired }: State, pod: ObjectKey) => desired.compiled.endpoints.has(pod);
  if (which === 'request' && !bound(current, sender)) return { verdicts: ['dropped'], orphan: true };
  // Its interface is closed until somebody is known to be behind it.
  if (next.pod !== undefined && !bound(current, next.pod)) return { verdicts: ['dropped'] };
  const ends = [journey.from, journey.to].flatMap((place) => (place.kind === 'pod' ? place.pod : []));
  const last =
    states.every(({ cluster }) => JSON.stringify(journeyOf(cluster, question)) === JSON.stringify(journey)) &&
    ends.every((pod) => new Set(states.map(({ cluster }) => cluster.addressesOf(pod).join())).size === 1);
  if (last) return { verdicts: [verdictOf(held, current)] };
  // The packet bears the address that its receiver had; whose that is by now is who gets it.
  const addressed = { ...held, question: { ...question, to: journey.to.address } };
  return { verdicts: ['dropped', ...[states[0], current].map((state) => verdictOf(addressed, state))] };
}

function verdictOf({ question, next }: Held, { oracle }: State): Verdict {
  const answer = oracle.judge(question);
  if (answer === 'no-address') return 'dropped';
  return (next.hook === 'to_node' ? answer.egress.allowed : answer.allowed) ? 'passed' : 'dropped';
}
