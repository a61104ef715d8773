/** Each load of the grid on a real engine: it tells its measures, and what it changed for that is as before. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Loads, Measure, Traffic } from '../../../src/bench/compare/contract.ts';
import { type Engine, EngineError } from '../../../src/bench/compare/engines/engine.ts';
import { openEngine } from '../../../src/bench/compare/engines/open-engine.ts';
import type { LoadName } from '../../../src/bench/compare/grid.ts';
import { openLoads } from '../../../src/bench/compare/loads/open-loads.ts';
import { runStep } from '../../../src/bench/compare/steps.ts';
import { describeAsRoot } from '../../support/privilege.ts';

const { signal } = new AbortController();

async function sampleOf(load: LoadName, traffic: Traffic, engine: Engine, loads: Loads) {
  const step = { load, traffic, topology: 'one-node', engines: [engine.name], seconds: 0.1 } as const;
  return await runStep(step, { engine, loads, signal });
}

describeAsRoot('on bpf with ten policies', () => {
  let engine: Engine;
  let loads: Loads;

  beforeAll(async () => {
    loads = await openLoads();
    engine = await openEngine('bpf');
    await engine.load(10, signal);
  });

  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
    await loads?.[Symbol.asyncDispose]();
  });

  const tells: readonly (readonly [LoadName, Traffic, readonly Measure[]])[] = [
    ['latency', 'allowed', ['latency-p50', 'latency-p99']],
    ['connect', 'allowed', ['connect-p50', 'connect-p99', 'connect-rate', 'connection-cpu']],
    ['stream', 'allowed', ['stream-rate']],
    ['streams', 'unselected', ['streams-rate']],
    ['udp', 'allowed', ['udp-rate', 'packet-cpu']],
    ['flood', 'denied', ['drop-cpu', 'drop-rate']],
    ['policy-time', 'denied', ['policy-time', 'policy-time-p99']],
    ['policy-time', 'unselected', ['policy-time', 'policy-time-p99']],
    ['pod-time', 'denied', ['pod-time']],
    ['busy', 'allowed', ['busy-latency-p50']],
  ];

  it.each(tells)('%s of traffic that is %s tells what it measures', async (load, traffic, measures) => {
    const sample = await sampleOf(load, traffic, engine, loads);
    expect(Object.keys(sample).sort()).toEqual([...measures].sort());
    for (const value of Object.values(sample)) expect(value).toBeGreaterThan(0);
  });

  it('changes that were timed are undone: what is denied is denied again, and the other way round', async () => {
    await sampleOf('flood', 'denied', engine, loads);
    await sampleOf('latency', 'unselected', engine, loads);
  });

  it('a flood that arrives is no flood of drops, and denied traffic has no latency', async () => {
    await expect(sampleOf('flood', 'allowed', engine, loads)).rejects.toThrow();
    await expect(sampleOf('latency', 'denied', engine, loads)).rejects.toThrow();
  });
});

describeAsRoot('on an engine without agents', () => {
  it('no change can be timed', async () => {
    await using loads = await openLoads();
    await using engine = await openEngine('none');
    await expect(sampleOf('policy-time', 'denied', engine, loads)).rejects.toThrow(EngineError);
  });
});
