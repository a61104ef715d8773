/** One client of the benchmark in a cluster -> its report: waits for the server, looks whether anybody enforces, measures in turns. */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Sample } from '../compare/contract.ts';
import { figuresOf } from '../compare/figures.ts';
import { Runs } from '../compare/loads/bounded-run.ts';
import { connectSample, latencySample, udpSample } from '../compare/loads/results.ts';
import { describeMachine, loadNow } from '../compare/machine.ts';
import type { SavedReport } from '../compare/report/index.ts';
import { Samples } from '../compare/rounds.ts';
import { type Client, PORTS } from './plan.ts';
import { takeTurn } from './turns.ts';

const PROGRAM = fileURLToPath(new URL('../../../build/selvedge-load', import.meta.url));

export interface MeasureOptions extends Pick<Client, 'topology' | 'traffic'> {
  /** Names or addresses. */
  readonly server: string;
  readonly turns: string;
  readonly name: string;
  readonly policies: number;
  readonly rounds: number;
  /** Of each run. */
  readonly seconds: number;
  readonly node?: string;
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
  readonly program?: string;
}

const LOADS: readonly { readonly load: string; readonly sampleOf: (text: string) => Sample }[] = [
  { load: 'latency', sampleOf: latencySample },
  { load: 'connect', sampleOf: connectSample },
  { load: 'udp', sampleOf: udpSample },
];

/** Beside its own time. */
const GRACE_SECONDS = 10;
/** Images are pulled, policies come into force. */
const PATIENCE_SECONDS = 900;
const RETRY_MS = 500;
const ATTEMPT_MS = 2_000;

export async function measureInCluster(options: MeasureOptions): Promise<SavedReport> {
  const { server, turns, rounds, signal, onProgress, topology, traffic, policies } = options;
  const started = new Date();
  const before = loadNow();
  onProgress(`waiting for ${server}`);
  const address = await patiently(() => reachable(server, signal), signal);
  const left = [...(await faultsOf(options, address)), ...LEFT];
  const samples = new Samples();
  await using runs = new Runs();
  for (let round = 0; round < rounds; round++) {
    for (const { load, sampleOf } of LOADS) {
      using _turn = await patiently(() => takeTurn(turns, PORTS.turns, signal), signal);
      onProgress(`round ${round + 1} of ${rounds}: ${load}`);
      const text = await runLoad(load, { address, runs, options });
      // No ratio is made of these: `none` stands for whoever enforces here until its name is set below.
      samples.add({ engine: 'none', topology, traffic, policies }, withoutOthersCpu(sampleOf(text), options), round);
    }
  }
  return {
    version: 1,
    machine: describeMachine(before),
    started: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1000,
    rounds,
    quick: false,
    figures: figuresOf(samples.series).map((figure) => ({ ...figure, engine: options.name })),
    goals: [],
    left,
    ...(options.node !== undefined && { nodes: [options.node] }),
  };
}

const LEFT = ['throughput, floods, and the time until a change is felt are measured in the lab alone: selvedge bench'];

/** Whether what is measured is what it is called. */
async function faultsOf({ server, traffic, signal }: MeasureOptions, address: string): Promise<string[]> {
  const passes = await connects(address, PORTS.forbidden, signal);
  if (traffic === 'allowed' && passes) {
    return [`nobody enforces: ${server} answers on a port that no policy admits, so policies cost nothing here`];
  }
  if (traffic === 'unselected' && !passes)
    return [`${server} is under no policy, but its port ${PORTS.forbidden} is closed`];
  return [];
}

interface Place {
  readonly address: string;
  readonly runs: Runs;
  readonly options: MeasureOptions;
}

async function runLoad(load: string, { address, runs, options }: Place): Promise<string> {
  const { seconds, signal, program = PROGRAM } = options;
  const args = [load, '--server', address, '--port', String(PORTS.load), '--seconds', String(seconds)];
  return await runs.run({ what: `${load} to ${address}`, program, args, limit: seconds + GRACE_SECONDS, signal });
}

/** The machine's CPU time is half of the truth where the server has another one. */
function withoutOthersCpu(sample: Sample, { topology }: MeasureOptions): Sample {
  if (topology === 'one-node') return sample;
  const { 'connection-cpu': _connection, 'packet-cpu': _packet, ...rest } = sample;
  return rest;
}

/** The server's address. @throws Error it has none yet, or does not answer */
async function reachable(server: string, signal: AbortSignal): Promise<string> {
  const { address } = await lookup(server);
  if (await connects(address, PORTS.load, signal)) return address;
  throw new Error(`${server} (${address}) does not answer on port ${PORTS.load}`);
}

async function connects(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  const socket = connect({ host, port });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.setTimeout(ATTEMPT_MS, () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

/** Again and again, until it works or nobody would wait any longer. */
async function patiently<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const deadline = Date.now() + PATIENCE_SECONDS * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (Date.now() > deadline) throw error;
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}
