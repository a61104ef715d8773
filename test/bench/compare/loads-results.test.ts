/** What the generators print becomes samples, and anything else an error; which processors ends stay on. */
import { describe, expect, it } from 'vitest';
import { LoadError } from '../../../src/bench/compare/loads/load-error.ts';
import { openLoads } from '../../../src/bench/compare/loads/open-loads.ts';
import { allowedProcessors, placementOf } from '../../../src/bench/compare/loads/processors.ts';
import {
  connectSample,
  feltTime,
  floodSample,
  latencySample,
  streamRate,
  udpSample,
} from '../../../src/bench/compare/loads/results.ts';

const times = { count: 2_000, elapsedNs: 500_000_000, p50Ns: 14_500, p99Ns: 20_000 };
const busy = { busyNs: 600_000_000, busySource: 'timer_list' };
const packets = { sent: 1_000, arrived: 800, elapsedNs: 500_000_000, ...busy };

describe('samples of what the generators print', () => {
  it('are in the units of the measures', () => {
    expect(latencySample(JSON.stringify(times))).toEqual({ 'latency-p50': 14.5, 'latency-p99': 20 });
    expect(connectSample(JSON.stringify({ ...times, ...busy }))).toEqual({
      'connect-p50': 14.5,
      'connect-p99': 20,
      'connect-rate': 4_000,
      'connection-cpu': 300,
    });
    expect(udpSample(JSON.stringify(packets))).toEqual({ 'udp-rate': 1_600, 'packet-cpu': 750_000 });
    expect(floodSample(JSON.stringify({ ...packets, arrived: 0 }))).toEqual({
      'drop-rate': 2_000,
      'drop-cpu': 600_000,
    });
    expect(feltTime('{"feltNs":1500000,"sent":3,"arrived":1}')).toBe(1.5);
    expect(streamRate('{"start":{},"end":{"sum_received":{"bits_per_second":9.5e9,"bytes":1}}}')).toBe(9.5);
  });

  it('are refused where they tell nothing', () => {
    expect(() => streamRate('{"start":{},"end":{},"error":"no route"}')).toThrow('iperf3: no route');
    expect(() => floodSample(JSON.stringify(packets))).toThrow('800 of 1000 datagrams arrived');
    expect(() => udpSample(JSON.stringify({ ...packets, arrived: 0 }))).toThrow('no datagram arrived');
  });

  it.each([
    '',
    'null',
    '{}',
    JSON.stringify({ ...times, p50Ns: '14500' }),
    JSON.stringify({ ...times, more: 1 }),
    JSON.stringify({ ...times, count: 0 }),
    `${JSON.stringify(times)}\nselvedge-load: something else`,
  ])('are refused of %j', (text) => {
    expect(() => latencySample(text)).toThrow(LoadError);
  });
});

describe('processors', () => {
  it('are the last that are allowed', () => {
    const allowed = allowedProcessors('Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t0,2-4,7\n');
    expect(allowed).toEqual([0, 2, 3, 4, 7]);
    expect(placementOf('one', allowed)).toEqual({ client: 7, server: 7 });
    expect(placementOf('two', allowed)).toEqual({ client: 7, server: 4 });
    expect(placementOf('two', [1])).toEqual({ client: 1, server: 1 });
  });

  it('of this process are known', () => {
    expect(allowedProcessors().length).toBeGreaterThan(0);
  });
});

it('says what to do where the generators have not been built', async () => {
  await expect(openLoads('/nowhere/selvedge-load')).rejects.toThrow('/nowhere/selvedge-load is missing: npm run build');
});
