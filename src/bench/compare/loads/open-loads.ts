/** The native generators and iperf3 as `Loads`: each run is one process, or two, between two network namespaces. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Ends, Loads, Sample } from '../contract.ts';
import { Runs } from './bounded-run.ts';
import { LoadError } from './load-error.ts';
import { placementOf } from './processors.ts';
import { connectSample, feltTime, floodSample, latencySample, udpSample } from './results.ts';
import { runThroughput } from './throughput.ts';

export { checkStreams } from './throughput.ts';

const PROGRAM = fileURLToPath(new URL('../../../../build/selvedge-load', import.meta.url));

/** Beside its own time, for a request that nobody answers and for what is on its way. */
const GRACE_SECONDS = 10;
/** Until a change is felt: slow engines need seconds for one policy. */
const UNTIL_SECONDS = 30;

/**
 * Both ends on one processor, before everybody else there: they take turns, and a time is that of the path and of two
 * switches. With an end on each of two, wake-ups of the other are most of a latency (14 µs -> 47 µs) and of the noise:
 * native/load/README.md has what each placement gave.
 */
const PLACE = ['--priority', 'real-time'];

/** @throws {LoadError} the generators have not been built */
export async function openLoads(program = PROGRAM): Promise<Loads> {
  await access(program, constants.X_OK).catch((cause) => {
    throw new LoadError(`${program} is missing: npm run build`, { cause });
  });
  return new NativeLoads(program);
}

class NativeLoads implements Loads {
  readonly #program: string;
  readonly #runs = new Runs();

  constructor(program: string) {
    this.#program = program;
  }

  async latency(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample> {
    return latencySample(await this.#run({ load: 'latency', ends, seconds, signal }));
  }

  async connect(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample> {
    return connectSample(await this.#run({ load: 'connect', ends, seconds, signal }));
  }

  async throughput(ends: Ends, streams: 1 | 8, seconds: number, signal: AbortSignal): Promise<Sample> {
    const what = whatOf(streams === 1 ? 'stream' : 'streams', ends);
    return await runThroughput(this.#runs, { what, ends, streams, seconds, signal });
  }

  async udp(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample> {
    return udpSample(await this.#run({ load: 'udp', ends, seconds, signal }));
  }

  async flood(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample> {
    return floodSample(await this.#run({ load: 'flood', ends, seconds, signal }));
  }

  async until(ends: Ends, wanted: 'open' | 'closed', signal: AbortSignal): Promise<number> {
    return feltTime(await this.#run({ load: 'until', wanted: [wanted], ends, seconds: UNTIL_SECONDS, signal }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runs[Symbol.asyncDispose]();
  }

  async #run({ load, wanted = [], ends, seconds, signal }: NativeRun): Promise<string> {
    const { client, server } = placementOf('one');
    const args = [
      ...[load, ...wanted, '--seconds', `${seconds}`, '--cpu', `${client},${server}`, ...PLACE],
      ...['--client', ends.client.address, '--client-namespace', ends.client.namespace],
      ...['--server', ends.server.address, '--server-namespace', ends.server.namespace],
    ];
    const limit = seconds + GRACE_SECONDS;
    return await this.#runs.run({ what: whatOf(load, ends), program: this.#program, args, limit, signal });
  }
}

interface NativeRun {
  readonly load: 'latency' | 'connect' | 'udp' | 'flood' | 'until';
  readonly wanted?: readonly string[];
  readonly ends: Ends;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

function whatOf(load: string, { client, server }: Ends): string {
  return `${load} from ${client.address} to ${server.address}`;
}
