/** What the generators print -> samples in the units of the measures. */
import { z } from 'zod';
import type { Sample } from '../contract.ts';
import { LoadError } from './load-error.ts';

const count = z.int().nonnegative();
const nanoseconds = z.int().positive();
/** `stat` is 10 ms exact, `timer_list` to the nanosecond. */
const busy = { busyNs: count, busySource: z.enum(['timer_list', 'stat']) };
const times = { count: z.int().positive(), elapsedNs: nanoseconds, p50Ns: nanoseconds, p99Ns: nanoseconds };
const datagrams = { sent: z.int().positive(), arrived: count };

const latency = z.strictObject(times);
const connect = z.strictObject({ ...times, ...busy });
const packets = z.strictObject({ ...datagrams, elapsedNs: nanoseconds, ...busy });
const until = z.strictObject({ feltNs: nanoseconds, ...datagrams });
const stream = z.union([
  z.looseObject({ error: z.string() }),
  z.looseObject({ end: z.looseObject({ sum_received: z.looseObject({ bits_per_second: z.number().positive() }) }) }),
]);

const MICROSECOND = 1e3;
const MILLISECOND = 1e6;
const SECOND = 1e9;

export function latencySample(text: string): Sample {
  const { p50Ns, p99Ns } = parse(latency, text);
  return { 'latency-p50': p50Ns / MICROSECOND, 'latency-p99': p99Ns / MICROSECOND };
}

export function connectSample(text: string): Sample {
  const { count, elapsedNs, p50Ns, p99Ns, busyNs } = parse(connect, text);
  return {
    'connect-p50': p50Ns / MICROSECOND,
    'connect-p99': p99Ns / MICROSECOND,
    'connect-rate': (count * SECOND) / elapsedNs,
    'connection-cpu': busyNs / count / MICROSECOND,
  };
}

export function udpSample(text: string): Sample {
  const { arrived, elapsedNs, busyNs } = parse(packets, text);
  if (arrived === 0) throw new LoadError('no datagram arrived');
  return { 'udp-rate': (arrived * SECOND) / elapsedNs, 'packet-cpu': busyNs / arrived };
}

export function floodSample(text: string): Sample {
  const { sent, arrived, elapsedNs, busyNs } = parse(packets, text);
  if (arrived > 0) throw new LoadError(`${arrived} of ${sent} datagrams arrived that should have been dropped`);
  return { 'drop-rate': (sent * SECOND) / elapsedNs, 'drop-cpu': busyNs / sent };
}

/** Milliseconds of CLOCK_MONOTONIC. */
export function feltTime(text: string): number {
  return parse(until, text).feltNs / MILLISECOND;
}

/** Gbit/s that arrived, from `iperf3 --json`. */
export function streamRate(text: string): number {
  const said = parse(stream, text);
  // It exits with 0 all the same.
  if ('error' in said) throw new LoadError(`iperf3: ${said.error}`);
  return said.end.sum_received.bits_per_second / 1e9;
}

function parse<Schema extends z.ZodType>(schema: Schema, text: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new LoadError(`a load has printed what it should not: ${text.slice(0, 200)}`, { cause });
  }
}
