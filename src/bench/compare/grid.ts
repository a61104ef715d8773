/**
 * What a run of the benchmark measures, before it begins: for each number of policies, which loads run between which pods over
 * which engines, and how long that takes. Latency and connections everywhere; the rest where it tells something.
 */
import { ENGINES, type EngineName, type Topology, type Traffic } from './contract.ts';

export const LOADS = {
  latency: 'latency over an open connection',
  connect: 'connect, request, answer, close',
  stream: 'throughput of one stream',
  streams: 'throughput of eight streams',
  udp: 'UDP packets of 64 bytes',
  flood: 'a flood that is dropped',
  'policy-time': 'a policy until the first packet that feels it',
  'pod-time': "a pod's label until the first packet that feels it",
  busy: 'latency while 200 changes per second are applied elsewhere',
} as const;
export type LoadName = keyof typeof LOADS;

/** One load between two pods, run once for each engine in each round. */
export interface Step {
  readonly load: LoadName;
  readonly topology: Topology;
  readonly traffic: Traffic;
  readonly engines: readonly EngineName[];
  /** Of each run. */
  readonly seconds: number;
  /** In so many rounds only, the first; in all when absent. */
  readonly rounds?: number;
  /** How often these have their turn in each round; the others once. */
  readonly turns?: Turns;
}

export interface Turns {
  readonly engines: readonly EngineName[];
  readonly count: number;
}

/** All engines hold so many policies, and all steps run in turn, again for each round. */
export interface Stage {
  readonly policies: number;
  /** How often all policies are loaded, for the time that this takes. */
  readonly loadings: number;
  readonly steps: readonly Step[];
}

export interface Grid {
  readonly engines: readonly EngineName[];
  readonly rounds: number;
  /** So many at least, however slow the machine is: see `seconds`. */
  readonly leastRounds: number;
  /** All must have ended by then: a stage that takes longer than its part of it has fewer rounds. */
  readonly seconds: number;
  readonly stages: readonly Stage[];
}

export interface GridOptions {
  readonly quick: boolean;
  readonly engines?: readonly EngineName[];
  readonly policies?: readonly number[];
  readonly rounds?: number;
}

const POLICIES = [0, 1, 10, 100, 1_000, 5_000, 10_000];
const QUICK_POLICIES = [0, 10, 1_000];
const ROUNDS = { full: 6, quick: 5 };
const LEAST_ROUNDS = { full: 5, quick: 3 };
/** Of what changes, of streams and of the engine under changes, in a quick run: they take seconds, and their spread is small. */
const QUICK_ROUNDS = 3;
/** Under 40 minutes, and under 2. */
const SECONDS = { full: 38 * 60, quick: 105 };
/** Policies of the world in which changes are timed, and of that which others are compared with. */
const CHANGES_AT = 1_000;
const FEW = 10;

const AGENTS: readonly EngineName[] = ['bpf', 'ipset-nft', 'ipset-legacy'];
const FREE: readonly EngineName[] = ['none', 'empty'];
/** Streams on few processors differ by a tenth and more from one run to the next: what is to be told apart by 3 % needs many. */
const MANY_TURNS: Turns = { engines: [...FREE, 'bpf'], count: 4 };

const TOPOLOGIES: readonly Topology[] = ['one-node', 'two-nodes'];

/** In seconds. */
const RUN = { full: 0.4, quick: 0.1 };
/** iperf3 knows whole ones. */
const STREAM = 1;

/** Rounds that a person asks for are all run, whatever time they take. */
export function planGrid({ quick, engines, policies, rounds }: GridOptions): Grid {
  const length = quick ? 'quick' : 'full';
  const chosen = ENGINES.filter((name) => engines === undefined || engines.includes(name));
  const counts = [...new Set(policies ?? (quick ? QUICK_POLICIES : POLICIES))].toSorted((a, b) => a - b);
  const stages = counts.map((count): Stage => {
    const most = count === counts.at(-1);
    const steps = quick ? quickSteps(count, most) : fullSteps(count, most);
    return {
      policies: count,
      loadings: quick || count > CHANGES_AT ? 1 : 3,
      steps: steps.flatMap(({ among = chosen, ...step }) => {
        const able = chosen.filter((name) => among.includes(name));
        return able.length === 0 ? [] : [{ ...step, engines: able }];
      }),
    };
  });
  return {
    engines: chosen,
    rounds: rounds ?? ROUNDS[length],
    leastRounds: rounds ?? LEAST_ROUNDS[length],
    seconds: SECONDS[length],
    stages,
  };
}

/** `among`: only these engines have anything to show. */
interface Draft extends Omit<Step, 'engines'> {
  readonly among?: readonly EngineName[];
}

function fullSteps(policies: number, most: boolean): Draft[] {
  const seconds = RUN.full;
  const traffics: Traffic[] = policies === 0 ? ['unselected'] : most ? ['allowed', 'unselected'] : ['allowed'];
  const everywhere = traffics.flatMap((traffic) =>
    TOPOLOGIES.flatMap((topology) => basics(topology, traffic, seconds)),
  );
  if (policies === 0) return everywhere;
  const bulk = policies === FEW ? TOPOLOGIES : most ? (['one-node'] as const) : [];
  return [
    ...everywhere,
    ...bulk.flatMap((topology): Draft[] => [
      { load: 'stream', topology, traffic: 'allowed', seconds: STREAM, turns: MANY_TURNS },
      { load: 'streams', topology, traffic: 'allowed', seconds: STREAM, turns: MANY_TURNS },
      { load: 'udp', topology, traffic: 'allowed', seconds },
    ]),
    ...(policies === FEW || policies === CHANGES_AT || most ? [flood(seconds)] : []),
    ...(policies === CHANGES_AT ? [...policyTimes(4), changes('pod-time', 3), busy(seconds)] : []),
    // The others need longer for each change than such a step has.
    ...(most && policies > CHANGES_AT ? policyTimes(3).map((step) => ({ ...step, among: ['bpf' as const] })) : []),
  ];
}

function quickSteps(policies: number, most: boolean): Draft[] {
  const seconds = RUN.quick;
  if (policies === 0) return basics('one-node', 'unselected', seconds);
  const topologies = policies === FEW ? TOPOLOGIES : TOPOLOGIES.slice(0, 1);
  return [
    ...topologies.flatMap((topology) => basics(topology, 'allowed', seconds)),
    ...(most ? [flood(seconds)] : []),
    ...[
      ...(policies === FEW ? [stream(['none', 'bpf'])] : []),
      ...(most ? policyTimes(0.4).slice(0, 1) : []),
      ...(policies === CHANGES_AT ? [busy(seconds)] : []),
    ].map((step) => ({ ...step, rounds: QUICK_ROUNDS })),
  ];
}

function basics(topology: Topology, traffic: Traffic, seconds: number): Draft[] {
  return (['latency', 'connect'] as const).map((load) => ({ load, topology, traffic, seconds }));
}

function stream(among: readonly EngineName[]): Draft {
  return { load: 'stream', topology: 'one-node', traffic: 'allowed', seconds: STREAM, among };
}

function flood(seconds: number): Draft {
  const among = ENGINES.filter((name) => !FREE.includes(name));
  return { load: 'flood', topology: 'one-node', traffic: 'denied', seconds, among };
}

/** A policy that is the first of its pod, and one more for a pod that is under all the others. */
function policyTimes(seconds: number): Draft[] {
  return (['unselected', 'denied'] as const).map((traffic) => ({ ...changes('policy-time', seconds), traffic }));
}

function changes(load: 'policy-time' | 'pod-time', seconds: number): Draft {
  return { load, topology: 'one-node', traffic: 'denied', seconds, among: AGENTS };
}

function busy(seconds: number): Draft {
  return { load: 'busy', topology: 'one-node', traffic: 'allowed', seconds, among: ['bpf'] };
}

/** Seconds that a run takes beside its load: processes that start and are waited for. */
const BESIDE: Readonly<Record<LoadName, number>> = {
  latency: 0.03,
  connect: 0.03,
  stream: 0.1,
  streams: 0.1,
  udp: 0.05,
  flood: 0.07,
  'policy-time': 0.8,
  'pod-time': 0.8,
  busy: 0.7,
};
/** Seconds until all engines are up in their labs, and gone again. */
const OPENING = 6;

export function secondsOf(grid: Grid): number {
  return OPENING + sum(grid.stages.map((stage) => stageSeconds(stage, grid)));
}

function stageSeconds({ policies, loadings, steps }: Stage, { engines, rounds: all }: Grid): number {
  const loading = engines.map((name) => loadings * loadingSeconds(name, policies));
  const runs = steps.map((step) => {
    const { load, seconds, rounds = all, engines } = step;
    return sum(engines.map((name) => turnsOf(step, name))) * Math.min(rounds, all) * (seconds + BESIDE[load]);
  });
  return sum(loading) + sum(runs);
}

/** How often an engine has its turn in a round. */
export function turnsOf({ turns }: Step, engine: EngineName): number {
  return turns?.engines.includes(engine) === true ? turns.count : 1;
}

/** When a stage should be over, in seconds from the beginning: what is left of the time is for it and those after it. */
export function stageEnd(grid: Grid, stage: Stage, passed: number): number {
  const rest = grid.stages.slice(grid.stages.indexOf(stage)).map((one) => stageSeconds(one, grid));
  return passed + ((grid.seconds - passed) * (rest[0] ?? 0)) / sum(rest);
}

/** On a machine of four cores in 2026; ipset's grows with the square, and is written to both sides. */
function loadingSeconds(name: EngineName, policies: number): number {
  if (FREE.includes(name) || policies === 0) return 0;
  if (name.startsWith('ipset')) return 0.6 + 0.002 * policies + 2.2e-6 * policies ** 2;
  return 0.1 + 0.0004 * policies;
}

export function hasStreams({ stages }: Grid): boolean {
  return stages.some(({ steps }) => steps.some(({ load }) => load === 'stream' || load === 'streams'));
}

/** The grid for a person, a line for each load at each number of policies. */
export function formatGrid(grid: Grid): string {
  const lines = grid.stages.flatMap(({ policies, steps }) => [
    `${policies.toLocaleString('en')} ${policies === 1 ? 'policy' : 'policies'}`,
    ...steps.map((step) => {
      const all = step.engines.length === grid.engines.length;
      const often = step.rounds !== undefined && step.rounds < grid.rounds ? `, ${step.rounds} rounds` : '';
      const turns = step.turns ? `, ${step.turns.count} turns a round for ${step.turns.engines.join(', ')}` : '';
      const where = `${step.traffic}, ${step.topology === 'one-node' ? 'one node' : 'two nodes'}${often}${turns}`;
      return `  ${LOADS[step.load]} (${where})${all ? '' : `: ${step.engines.join(', ')}`}`;
    }),
  ]);
  const about = formatSeconds(secondsOf(grid));
  return `${grid.engines.join(', ')}; ${grid.rounds} rounds, about ${about}\n${lines.join('\n')}\n`;
}

/** `1 min 50 s` */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
