/** What is measured, one after the other, on an agent that enforces. */
import type { ApiObject } from '../../test/support/api-server/objects.ts';
import { keyOf } from '../../test/support/api-server/objects.ts';
import type { AgentAnswers, State } from './agent.ts';
import type { Child } from './child.ts';
import type { Change, Churn } from './churn.ts';
import { type ClusterSize, localPod, namespace, policy, policyForAll, remotePod, tierOf } from './cluster.ts';
import { type Figure, mean, percentile } from './figures.ts';
import type { Sent, ServerAnswers } from './server.ts';

export interface Bench {
  readonly server: Child<ServerAnswers>;
  readonly agent: Child<AgentAnswers>;
  readonly size: ClusterSize;
  /** Of single events. */
  readonly times: number;
  /** Of streams. */
  readonly seconds: number;
}

/** Limits in milliseconds. */
const SINGLE = 5;
const ALL_LOCAL = 50;

/** One event at a time, each after the one before has settled: from the server's write to the one that puts it in force. */
export async function singleEvents(bench: Bench): Promise<Figure[]> {
  const { size } = bench;
  const other = (i: number) => size.local + 1 + i * 37;
  const events: [name: string, limit: number, make: (i: number) => Change][] = [
    ['pod joins known sets', SINGLE, (i) => ({ put: remotePod(size.pods + i, size) })],
    ['pod leaves', SINGLE, (i) => ({ delete: remotePod(size.pods + i, size) })],
    ['labels of a pod elsewhere', SINGLE, (i) => ({ put: remotePod(other(i), size, { tier: tierOf(other(i), 1) }) })],
    [
      'labels of a pod of the node',
      SINGLE,
      (i) => ({ put: localPod(i % size.local, size, tierOf(i % size.local, 1 + Math.floor(i / size.local))) }),
    ],
    ['labels of a namespace', SINGLE, (i) => ({ put: namespace(1 + i, `team-${(i + 25) % 50}`) })],
    ['policy of one pod of the node', SINGLE, (i) => ({ put: policy(i % (2 * size.local), size, 9000 + i) })],
    ['policy that selects every pod of the node', ALL_LOCAL, (i) => ({ put: policyForAll(7000 + i) })],
  ];
  const figures: Figure[] = [];
  for (const [name, limit, make] of events) {
    const delays: number[] = [];
    const inside: number[] = [];
    const writes: number[] = [];
    for (let i = 0; i < bench.times; i++) {
      const { sent, state } = await once(bench, make(i));
      delays.push(state.inForce - sent.at);
      inside.push(state.inForce - arrivalOf(state, sent));
      writes.push(state.writes);
    }
    figures.push(
      { name: `${name}: p50`, value: percentile(delays, 0.5), unit: 'ms' },
      { name: `${name}: p99`, value: percentile(delays, 0.99), unit: 'ms', limit },
      { name: `${name}: in the agent after parsing, p99`, value: percentile(inside, 0.99), unit: 'ms' },
      { name: `${name}: writes to each copy and the flip`, value: percentile(writes, 0.5), unit: '' },
    );
  }
  return figures;
}

/** Each interface is so many pods', one after the other: a p99 wants a hundred of them. */
const LIVES = 4;

/** Pods whose interfaces are there already: from the pod's record to the endpoint in force, tables of flows included. */
export async function localPods(bench: Bench, count: number): Promise<Figure[]> {
  const { size } = bench;
  const delays: number[] = [];
  const writes: number[] = [];
  // The interfaces have their programs: a kubelet tells of a pod's address about a second after its interface is there.
  await bench.agent.ask('guarded', size.local + count);
  for (let life = 1; life <= LIVES; life++) {
    for (let i = 0; i < count; i++) {
      if (life > 1) await once(bench, { delete: localPod(size.local + i, size) });
      const { sent, state } = await once(bench, { put: localPod(size.local + i, size) });
      if (state.bound !== size.local + (life > 1 ? count : i + 1))
        throw new Error(`${state.bound} endpoints are enforced`);
      delays.push(state.inForce - sent.at);
      writes.push(state.writes);
    }
  }
  return [
    { name: 'pod of the node is known: p50', value: percentile(delays, 0.5), unit: 'ms' },
    { name: 'pod of the node is known: p99', value: percentile(delays, 0.99), unit: 'ms', limit: SINGLE },
    { name: 'pod of the node is known: writes to each copy and the flip', value: percentile(writes, 0.5), unit: '' },
  ];
}

async function once({ server, agent }: Bench, change: Change): Promise<{ sent: Sent; state: State }> {
  const object: ApiObject = 'put' in change ? change.put : change.delete;
  const [state, sent] = await Promise.all([
    agent.ask('inForce', `${object.kind} ${keyOf(object)}`),
    'put' in change ? server.ask('put', object) : server.ask('delete', object),
  ]);
  await agent.ask('settled');
  return { sent, state };
}

function arrivalOf({ arrived }: State, { key }: Sent): number {
  return arrived.find(([one]) => one === key)?.[1] ?? Number.NaN;
}

interface StreamResult {
  /** Milliseconds from the server's write to the write that put it in force, of those that changed anything. */
  readonly delays: readonly number[];
  readonly cpu: number;
  readonly elapsed: number;
  readonly events: number;
  readonly states: number;
}

async function stream({ server, agent, seconds }: Bench, kind: Churn, perSecond: number): Promise<StreamResult> {
  await agent.ask('settled');
  await agent.ask('states');
  const before = await agent.ask('use');
  const sent = await server.ask('churn', { kind, perSecond, seconds });
  await agent.ask('settled');
  const after = await agent.ask('use');
  const states = await agent.ask('states');
  const elapsed = (sent.at(-1)?.at ?? 0) - (sent[0]?.at ?? 0);
  return {
    delays: delaysOf(sent, states),
    cpu: after.cpu - before.cpu,
    elapsed,
    events: sent.length,
    states: states.length,
  };
}

/** Each object's changes arrive in order, and only those that say anything new. */
function delaysOf(sent: readonly Sent[], states: readonly State[]): number[] {
  const open = new Map<string, number[]>();
  for (const { key, at } of sent) open.set(key, [...(open.get(key) ?? []), at]);
  return states.flatMap(({ arrived, inForce }) =>
    arrived.flatMap(([key, at]) => {
      const before = open.get(key)?.filter((one) => one <= at) ?? [];
      const latest = before.at(-1);
      if (latest === undefined) return [];
      open.set(key, open.get(key)?.filter((one) => one > at) ?? []);
      return [inForce - latest];
    }),
  );
}

/** @param after called behind each stream with its name */
export async function streams(bench: Bench, after: (part: Churn) => Promise<void>): Promise<Figure[]> {
  const run = async (kind: Churn) => {
    const result = await stream(bench, kind, 200);
    await after(kind);
    return result;
  };
  const beats = await run('heartbeats');
  const lives = await run('lives');
  const relevant = await run('relevant');
  return [
    { name: '200 heartbeats/s elsewhere: CPU per 1,000', value: (beats.cpu / beats.events) * 1000, unit: 'ms' },
    { name: '200 heartbeats/s elsewhere: of a core', value: (100 * beats.cpu) / beats.elapsed, unit: '%', limit: 5 },
    { name: '200 pod events/s elsewhere: CPU per 1,000', value: (lives.cpu / lives.events) * 1000, unit: 'ms' },
    { name: '200 pod events/s elsewhere: of a core', value: (100 * lives.cpu) / lives.elapsed, unit: '%', limit: 5 },
    { name: '200 changes/s: in force, mean', value: mean(relevant.delays), unit: 'ms', limit: 10 },
    { name: '200 changes/s: in force, p99', value: percentile(relevant.delays, 0.99), unit: 'ms', limit: 25 },
    { name: '200 changes/s: changes per flip', value: relevant.delays.length / relevant.states, unit: '' },
    { name: '200 changes/s: of a core', value: (100 * relevant.cpu) / relevant.elapsed, unit: '%' },
  ];
}
