/** iperf3 between two ends: a server for one test, then the client. */
import { run } from '../../../child-process.ts';
import { netns } from '../../../native.ts';
import type { Ends, Sample } from '../contract.ts';
import type { BoundedRun, Runs } from './bounded-run.ts';
import { LoadError } from './load-error.ts';
import { type Placement, placementOf } from './processors.ts';
import { streamRate } from './results.ts';

/** Behind those of the other loads. */
const PORT = 5202;
/** Beside the time of the test itself. */
const GRACE_SECONDS = 10;
const CONNECT_MS = 2_000;

/** In real time: on a busy machine quartiles of `none` to itself are 1.01-1.04 then, and 0.3-1.3 otherwise. */
const GO_FIRST = ['chrt', '--fifo', '1'];

const MISSING = 'streams need iperf3, which is not installed: apt-get install iperf3, or what your system has for that';

/** @throws {LoadError} there is no iperf3 */
export async function checkStreams(): Promise<void> {
  await run('iperf3', ['--version']).catch((cause) => {
    throw new LoadError(MISSING, { cause });
  });
}

export interface Throughput {
  readonly what: string;
  readonly ends: Ends;
  readonly streams: 1 | 8;
  /** iperf3 knows whole ones. */
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export async function runThroughput(runs: Runs, options: Throughput): Promise<Sample> {
  const { what, ends, streams, signal } = options;
  const seconds = Math.ceil(options.seconds);
  const placement = placementOf('two');
  const { client, server } = placement;
  const first = (await canGoFirst(placement)) ? GO_FIRST : [];
  const port = ['--port', `${PORT}`];
  // A server whose client has failed would wait for the next.
  using over = joined(signal);
  const iperf3 = (namespace: string, args: readonly string[], onLine?: BoundedRun['onLine']) =>
    runs.run({
      what,
      // Neither may outlive a benchmark that is killed.
      program: 'setpriv',
      args: ['--pdeathsig', 'KILL', ...first, 'iperf3', ...port, ...args],
      limit: seconds + GRACE_SECONDS,
      signal: over.signal,
      within: (begin) => netns.run(namespace, begin),
      ...(onLine && { onLine }),
    });
  const listening = Promise.withResolvers<void>();
  const serverArgs = [
    '--server',
    '--one-off',
    '--forceflush',
    '--bind',
    ends.server.address,
    '--affinity',
    `${server}`,
  ];
  const served = iperf3(ends.server.namespace, serverArgs, (line) => {
    if (line.startsWith('Server listening')) listening.resolve();
  });
  try {
    await Promise.race([listening.promise, served]);
    const to = ['--client', ends.server.address, '--bind', ends.client.address];
    const how = ['--parallel', `${streams}`, '--time', `${seconds}`, '--affinity', `${client}`, '--json'];
    const patience = ['--connect-timeout', `${CONNECT_MS}`];
    const rate = streamRate(await iperf3(ends.client.namespace, [...to, ...how, ...patience]));
    return { [streams === 1 ? 'stream-rate' : 'streams-rate']: rate };
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof LoadError ? new LoadError(reasonOf(error.message), { cause: error }) : error;
  } finally {
    over.end();
    await served.catch(() => {});
  }
}

/** Two that never wait for each other would starve each other on one processor; container runtimes may give no real time. */
async function canGoFirst({ client, server }: Placement): Promise<boolean> {
  if (client === server) return false;
  const [program = '', ...args] = GO_FIRST;
  return await run(program, [...args, 'true']).then(
    () => true,
    () => false,
  );
}

function reasonOf(message: string): string {
  return message.includes('failed to execute iperf3') ? MISSING : message;
}

/** A signal of one's own that another also sets off. */
function joined(other: AbortSignal): Disposable & { readonly signal: AbortSignal; end(): void } {
  const own = new AbortController();
  const end = () => own.abort(other.reason);
  other.addEventListener('abort', end);
  if (other.aborted) end();
  return { signal: own.signal, end, [Symbol.dispose]: () => other.removeEventListener('abort', end) };
}
