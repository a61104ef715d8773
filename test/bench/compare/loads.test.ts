/** Loads between two real network namespaces: what they say is consistent, and a run that tells nothing says why. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Loads } from '../../../src/bench/compare/contract.ts';
import { monotonicMs } from '../../../src/bench/compare/engines/monotonic.ts';
import { LoadError } from '../../../src/bench/compare/loads/load-error.ts';
import { openLoads } from '../../../src/bench/compare/loads/open-loads.ts';
import { eventually } from '../../support/eventually.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { type Family, TwoEnds } from './support/two-ends.ts';

const SECONDS = 0.05;
const { signal } = new AbortController();
let ends: TwoEnds;
let loads: Loads;

async function failureOf(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LoadError);
  expect(error).toHaveProperty('code', 'LOAD');
  return (error as LoadError).message;
}

describeAsRoot('loads between two namespaces', () => {
  beforeEach(async () => {
    ends = await TwoEnds.start();
    loads = await openLoads();
  });

  afterEach(async () => {
    await loads[Symbol.asyncDispose]();
    // A server ends with its client.
    await eventually(() => expect(ends.processes).toEqual([]));
    ends[Symbol.dispose]();
  });

  it.each<Family>(['IPv4', 'IPv6'])('measures latency, connections and datagrams over %s', async (family) => {
    const between = ends.ends(family);
    const latency = await loads.latency(between, SECONDS, signal);
    expect(Object.keys(latency)).toEqual(['latency-p50', 'latency-p99']);
    expect(latency['latency-p99']).toBeGreaterThanOrEqual(latency['latency-p50'] as number);

    const connect = await loads.connect(between, SECONDS, signal);
    expect(Object.keys(connect)).toEqual(['connect-p50', 'connect-p99', 'connect-rate', 'connection-cpu']);
    // One after the other: as many in a second as their times allow.
    expect(connect['connect-rate']).toBeLessThan(1e6 / ((connect['connect-p50'] as number) / 2));

    const udp = await loads.udp(between, SECONDS, signal);
    expect(Object.keys(udp)).toEqual(['udp-rate', 'packet-cpu']);
    expect(Object.values({ ...connect, ...udp }).every((figure) => figure > 0)).toBe(true);
  });

  it('makes connections again and again without running out of ports', async () => {
    for (let run = 0; run < 5; run++) {
      expect(await loads.connect(ends.ends(), 0.3, signal)).toHaveProperty('connect-rate');
      expect(await loads.latency(ends.ends(), SECONDS, signal)).toHaveProperty('latency-p50');
    }
  });

  it.each([1, 8] as const)('measures the throughput of %d streams', async (streams) => {
    const name = streams === 1 ? 'stream-rate' : 'streams-rate';
    expect(await loads.throughput(ends.ends(), streams, 1, signal)).toEqual({ [name]: expect.any(Number) });
  });

  it('counts a flood of which nothing arrives', async () => {
    ends.deny();
    const sample = await loads.flood(ends.ends(), SECONDS, signal);
    expect(Object.keys(sample)).toEqual(['drop-rate', 'drop-cpu']);
  });

  it('says how much of a flood has arrived', async () => {
    const message = await failureOf(loads.flood(ends.ends(), SECONDS, signal));
    const [, arrived, sent] = /^(\d+) of (\d+) datagrams arrived/.exec(message) ?? [];
    expect(Number(arrived)).toBeGreaterThan(0);
    expect(Number(arrived)).toBeLessThanOrEqual(Number(sent));
  });

  it('tells the first datagram after a way has come to be open, and after it has come to be closed', async () => {
    ends.deny();
    for (const [wanted, change] of [
      ['open', () => ends.admit()],
      ['closed', () => ends.deny()],
    ] as const) {
      const felt = loads.until(ends.ends(), wanted, signal);
      await eventually(() => expect(ends.processes).toHaveLength(2));
      const before = monotonicMs();
      change();
      const at = await felt;
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThan(monotonicMs());
    }
  });

  it('fails where nobody answers', async () => {
    ends.deny();
    const between = ends.ends();
    const messages = await Promise.all([
      failureOf(loads.latency(between, SECONDS, signal)),
      failureOf(loads.throughput(between, 1, 1, signal)),
    ]);
    const at = '10.77.0.1 to 10.77.0.2: ';
    expect(messages[0]).toBe(`latency from ${at}selvedge-load: connect to 10.77.0.2 port 5200: no answer in time`);
    expect(messages[1]).toMatch('iperf3: unable to connect');
    expect(await failureOf(loads.connect(between, SECONDS, signal))).toMatch(`connect from ${at}`);
    expect(await failureOf(loads.udp(between, SECONDS, signal))).toMatch('10.77.0.2 port 5201 does not answer');
  });

  it('fails where a namespace is not there or an address is of another', async () => {
    const { client, server } = ends.ends();
    const nowhere = { client, server: { ...server, namespace: 'slv-nowhere' } };
    expect(await failureOf(loads.latency(nowhere, SECONDS, signal))).toMatch('network namespace slv-nowhere');
    const exchanged = { client, server: { ...server, address: client.address } };
    expect(await failureOf(loads.latency(exchanged, SECONDS, signal))).toMatch('bind 10.77.0.1 port 5200');
  });

  it.each(['latency', 'connect', 'udp', 'until', 'throughput'] as const)(
    'ends %s when its caller does',
    async (name) => {
      const caller = new AbortController();
      const between = ends.ends();
      // The way is open, and `until closed` waits.
      const run =
        name === 'until'
          ? loads.until(between, 'closed', caller.signal)
          : name === 'throughput'
            ? loads.throughput(between, 8, 20, caller.signal)
            : loads[name](between, 20, caller.signal);
      const outcome = run.catch((reason: unknown) => reason);
      await eventually(() => expect(ends.processes).toHaveLength(2));
      caller.abort(new Error('enough'));
      expect(await outcome).toEqual(new Error('enough'));
    },
  );

  it('does not begin when its caller has given up already', async () => {
    const over = AbortSignal.abort(new Error('enough'));
    await expect(loads.latency(ends.ends(), SECONDS, over)).rejects.toThrow('enough');
    await expect(loads.throughput(ends.ends(), 1, 1, over)).rejects.toThrow('enough');
  });

  it('ends all runs when it is closed', async () => {
    const run = failureOf(loads.latency(ends.ends(), 20, signal));
    await eventually(() => expect(ends.processes).toHaveLength(2));
    await loads[Symbol.asyncDispose]();
    expect(await run).toMatch('was ended by SIGKILL');
  });
});
