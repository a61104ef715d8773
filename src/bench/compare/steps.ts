/** A step of the grid on one engine -> its sample. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Ends, Loads, Sample, Traffic } from './contract.ts';
import { type Engine, EngineError, type FedAgents } from './engines/engine.ts';
import type { FeedChange } from './engines/feed.ts';
import { monotonicMs } from './engines/monotonic.ts';
import { quantile } from './figures.ts';
import type { LoadName, Step } from './grid.ts';
import { admission, BUSY_POLICY, busyPod, isolation, podManifest } from './world.ts';

export interface StepContext {
  readonly engine: Engine;
  readonly loads: Loads;
  readonly signal: AbortSignal;
}

export async function runStep(step: Step, { engine, loads, signal }: StepContext): Promise<Sample> {
  const { load, seconds } = step;
  const ends = engine.ends(step.topology, step.traffic);
  const plain: Readonly<Record<Exclude<LoadName, 'policy-time' | 'pod-time' | 'busy'>, () => Promise<Sample>>> = {
    latency: () => loads.latency(ends, seconds, signal),
    connect: () => loads.connect(ends, seconds, signal),
    stream: () => loads.throughput(ends, 1, seconds, signal),
    streams: () => loads.throughput(ends, 8, seconds, signal),
    udp: () => loads.udp(ends, seconds, signal),
    flood: () => loads.flood(ends, seconds, signal),
  };
  const { agents } = engine;
  // Drops are told to an agent: that is a part of what they cost.
  if (load === 'flood' && agents !== undefined) return agents.awake(plain.flood);
  if (load in plain) return plain[load as keyof typeof plain]();
  if (agents === undefined) throw new EngineError(`${engine.name} follows no changes`);
  const changing = { ends, seconds, agents, loads, signal };
  return agents.awake(async () => {
    await agents.calm(signal);
    if (load === 'busy') return busyLatency(changing);
    return load === 'policy-time' ? policyTimes(changing, step.traffic) : podTimes(changing);
  });
}

interface Changing {
  readonly ends: Ends;
  readonly seconds: number;
  readonly agents: FedAgents;
  readonly loads: Loads;
  readonly signal: AbortSignal;
}

/** Of a policy that comes and goes: it isolates a pod that is under none, or admits one more to a pod that is under all. */
async function policyTimes(changing: Changing, traffic: Traffic): Promise<Sample> {
  const changes = (nth: number) => {
    const policy = traffic === 'unselected' ? isolation(`isolates-${nth}`) : admission(`admits-${nth}`, 'stranger');
    const [comes, goes] = [{ upserts: [policy] }, { deletes: [policy] }];
    return traffic === 'unselected' ? { open: goes, closed: comes } : { open: comes, closed: goes };
  };
  const times = await feltTimes(changing, changes, traffic === 'unselected' ? 'open' : 'closed');
  return { 'policy-time': quantile(times, 0.5), 'policy-time-p99': quantile(times, 0.99) };
}

async function podTimes(changing: Changing): Promise<Sample> {
  const { agents, signal } = changing;
  const policy = admission('admits-friend', 'friend');
  agents.feed.send({ upserts: [policy] });
  await agents.settled(signal);
  try {
    const open = { upserts: [podManifest('stranger', { role: 'friend' })] };
    const closed = { upserts: [podManifest('stranger')] };
    return { 'pod-time': quantile(await feltTimes(changing, () => ({ open, closed }), 'closed'), 0.5) };
  } finally {
    agents.feed.send({ deletes: [policy] });
    await agents.settled(signal);
  }
}

/** A datagram must be on its way before the change is made, or the change would wait for the sender. */
const SENDING_MS = 30;
/** Changes are lone: what an agent does after one has come into force is over by then. */
const REST_BETWEEN_MS = 30;

type State = 'open' | 'closed';

/** Makes one change after the other, there and back. @returns milliseconds of each until the first packet that feels it */
async function feltTimes(
  { ends, seconds, agents, loads, signal }: Changing,
  /** Of each there and back: what was there before is not to be found again. */
  changes: (nth: number) => Readonly<Record<State, FeedChange>>,
  /** How things are at first, and at the end. */
  first: State,
): Promise<readonly number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  let state: State = first;
  const change = (to: State) => changes(Math.floor(times.length / 2))[to];
  try {
    while (state !== first || times.length === 0 || performance.now() < end) {
      const next: State = state === 'open' ? 'closed' : 'open';
      const felt = loads.until(ends, next, signal);
      await Promise.race([wait(SENDING_MS), felt]);
      const { at } = agents.feed.send(change(next));
      state = next;
      const ms = (await felt) - at;
      if (ms < 0) throw new EngineError(`a packet came to be ${next} ${-ms} ms before the change was made`);
      times.push(ms);
      await agents.settled(signal);
      await wait(REST_BETWEEN_MS);
    }
  } finally {
    if (state !== first) agents.feed.send(change(first));
  }
  return times;
}

const CHANGES_PER_SECOND = 200;
const BUSY_PODS = 50;

/** Pods elsewhere come into and leave a set that neither end is asked about. */
async function busyLatency({ ends, seconds, agents, loads, signal }: Changing): Promise<Sample> {
  const pods = Array.from({ length: BUSY_PODS }, (_, index) => busyPod(index, false));
  const { feed } = agents;
  feed.send({ upserts: [BUSY_POLICY, ...pods] });
  await agents.settled(signal);
  const started = monotonicMs();
  let sent = 0;
  const timer = setInterval(() => {
    // As many as are due: a timer may be late.
    for (const due = ((monotonicMs() - started) * CHANGES_PER_SECOND) / 1000; sent < due; sent++) {
      feed.send({ upserts: [busyPod(sent % BUSY_PODS, Math.floor(sent / BUSY_PODS) % 2 === 0)] });
    }
  }, 1000 / CHANGES_PER_SECOND);
  try {
    const sample = await loads.latency(ends, seconds, signal);
    const median = sample['latency-p50'];
    return median === undefined ? {} : { 'busy-latency-p50': median };
  } finally {
    clearInterval(timer);
    feed.send({ deletes: [BUSY_POLICY, ...pods] });
    await agents.settled(signal);
  }
}
