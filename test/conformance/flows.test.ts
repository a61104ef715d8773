/**
 * Connections of random worlds while these change: whichever side's packet comes, it passes exactly while the current state
 * admits the request. SELVEDGE_FLOW_WORLDS=3000 follows more worlds; SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../support/kernel/cluster.ts';
import { KernelSite } from '../support/kernel/kernel-site.ts';
import { type FirstPacket, type Following, firstPacket, followingPacket } from '../support/kernel/packets.ts';
import { type Arrival, enforce, type Journey, journeyOf } from '../support/kernel/site.ts';
import { type Oracle, oracleFor, type Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { type PairOfWorlds, pairOfWorlds } from '../support/worlds/pair-of-worlds.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf } from '../support/worlds/world.ts';

const worlds = Number(process.env.SELVEDGE_FLOW_WORLDS ?? 60);
const seed = process.env.SELVEDGE_SEED;
const QUESTIONS = 150;

interface State {
  readonly name: string;
  readonly cluster: TestCluster;
  readonly oracle: Oracle;
}

interface Connection {
  readonly question: Question;
  readonly journey: Journey;
  readonly opening: FirstPacket;
}

describeAsRoot('the kernel', () => {
  let site: KernelSite;

  beforeAll(() => {
    // Of the usual size: in few sets, some of a pod's connections would take each other's place.
    site = new KernelSite('flows', 4096);
  });

  afterAll(() => site?.close());

  it('lets packets of a connection pass while its request is admitted', {
    timeout: 120_000 + worlds * 600,
  }, async () => {
    const total = { connections: 0, packets: 0, cut: 0 };
    await fc.assert(
      fc.asyncProperty(pairOfWorlds, fc.boolean(), async (pair, replyFirst) => {
        const { connections, packets, cut } = await follow(site, pair, replyFirst);
        total.connections += connections;
        total.packets += packets;
        total.cut += cut;
      }),
      { numRuns: worlds, ...(seed !== undefined && { seed: Number(seed) }) },
    );
    console.log(`${total.packets} packets of ${total.connections} connections, ${total.cut} cut by a change`);
    expect(total.cut).toBeGreaterThan(worlds / 2);
  });
});

/** Opens connections in the first state, then sends on them there, in the second state and in the first again. */
async function follow(site: KernelSite, { before, after }: PairOfWorlds, replyFirst: boolean) {
  const first = stateOf('first', objectsOf(before));
  const second = stateOf('second', objectsOf(after));
  for (const node of first.cluster.nodes) (await site.node(node)).forgetFlows();
  await enforce(site, first.cluster);
  const all = questionsOf(before, { atMost: QUESTIONS }).flatMap((question, place) =>
    connectionOf(first, question, place),
  );
  const opened = all.filter((connection) => send(site, connection, firstPacket(connection.opening)) === 'delivered');
  const lasting = (connections: readonly Connection[]) => connections.filter((one) => lasts(one, first, second));
  let packets = talk(site, first, opened, replyFirst);
  await enforce(site, second.cluster);
  packets += talk(site, second, lasting(opened), replyFirst);
  // Opened again, or for the first time after a vain attempt: each is a request, whatever the flows say.
  const reopened = lasting(all).filter((connection) => {
    return expectVerdict(second, connection, 'opening again', send(site, connection, firstPacket(connection.opening)));
  });
  packets += lasting(all).length + talk(site, second, reopened, replyFirst);
  await enforce(site, first.cluster);
  packets += talk(site, first, lasting(opened), replyFirst);
  const cut = lasting(opened).filter(({ question }) => !isAdmitted(second, question)).length;
  return { connections: opened.length, packets, cut };
}

/** A request and a reply on each connection. @returns how many packets that were */
function talk(site: KernelSite, state: State, connections: readonly Connection[], replyFirst: boolean): number {
  for (const connection of connections) {
    for (const which of replyFirst ? (['reply', 'request'] as const) : (['request', 'reply'] as const)) {
      expectVerdict(
        state,
        connection,
        which,
        send(site, connection, followingPacket(connection.opening, which), which),
      );
    }
  }
  return 2 * connections.length;
}

function send(site: KernelSite, { journey }: Connection, packet: Uint8Array, which: Following = 'request'): Arrival {
  const { from, to } = journey;
  return site.namespace.run(() => site.travel(which === 'request' ? { from, to } : { from: to, to: from }, packet));
}

/** Throws when the packet did other than the state says of the request. @returns whether it is admitted */
function expectVerdict(state: State, connection: Connection, packet: string, arrival: Arrival): boolean {
  const { question } = connection;
  const admitted = isAdmitted(state, question);
  if ((arrival === 'delivered') === admitted) return admitted;
  const where = `${packet} in the ${state.name} state: ${arrival}`;
  throw new Error(`${where}, the request is ${admitted ? '' : 'not '}admitted: ${JSON.stringify(question)}`);
}

function stateOf(name: string, objects: ReturnType<typeof objectsOf>): State {
  return { name, cluster: new TestCluster(objects), oracle: oracleFor(objects) };
}

function connectionOf({ cluster }: State, question: Question, place: number): Connection[] {
  // Without ports all packets between two pods are of one connection.
  const journey = typeof question.protocol === 'number' ? undefined : journeyOf(cluster, question);
  if (journey === undefined) return [];
  const { from, to, protocol, port } = journey;
  const opening = { source: from.address, destination: to.address, protocol, port, sourcePort: 20_000 + place };
  return [{ question, journey, opening }];
}

function isAdmitted({ oracle }: State, question: Question): boolean {
  const answer = oracle.judge(question);
  return answer !== 'no-address' && answer.allowed;
}

/** Both ends are the same in both states: a pod with another address is another pod. */
function lasts({ question, journey }: Connection, { cluster: one }: State, { cluster: other }: State): boolean {
  const ends = [journey.from, journey.to].flatMap((place) => (place.kind === 'pod' ? place.pod : []));
  return (
    [one, other].every((cluster) => JSON.stringify(journeyOf(cluster, question)) === JSON.stringify(journey)) &&
    ends.every((pod) => one.addressesOf(pod).join() === other.addressesOf(pod).join())
  );
}
