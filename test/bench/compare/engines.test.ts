/** Engines really decide: with ten policies in force allowed traffic passes and denied traffic does not, by real packets. */
import { afterEach, expect, it } from 'vitest';
import { ENGINES, type EngineName, type Topology, type Traffic } from '../../../src/bench/compare/contract.ts';
import type { Engine } from '../../../src/bench/compare/engines/engine.ts';
import { openEngine } from '../../../src/bench/compare/engines/open-engine.ts';
import { LOAD_PORTS } from '../../../src/bench/compare/world.ts';
import { knownLabs } from '../../../src/lab/lab-record.ts';
import { pidOf } from '../../../src/lab/network/names.ts';
import { Listeners } from '../../../src/lab/probing/listeners.ts';
import { probe } from '../../../src/lab/probing/probe.ts';
import type { Station } from '../../../src/lab/probing/station.ts';
import { describeAsRoot } from '../../support/privilege.ts';

const { signal } = new AbortController();
let engine: Engine | undefined;

afterEach(async () => {
  await engine?.[Symbol.asyncDispose]();
  engine = undefined;
});

interface Asked {
  readonly topology: Topology;
  readonly traffic: Traffic;
  readonly protocol: 'TCP' | 'UDP';
}

const ASKED: readonly Asked[] = (['allowed', 'denied', 'unselected'] as const).flatMap((traffic) =>
  (['one-node', 'two-nodes'] as const).flatMap((topology) =>
    (['TCP', 'UDP'] as const).map((protocol) => ({ topology, traffic, protocol })),
  ),
);

/** `denied one-node TCP` and so on, of those that pass. */
async function passing(over: Engine): Promise<string[]> {
  const listeners = new Listeners();
  const stationOf = (end: { namespace: string; address: string }): Station => {
    return { kind: 'pod', namespace: end.namespace, address: end.address as Station['address'], name: end.address };
  };
  try {
    const probes = ASKED.map(({ topology, traffic, protocol }) => {
      const { client, server } = over.ends(topology, traffic);
      return { from: stationOf(client), to: stationOf(server), protocol, port: LOAD_PORTS.to };
    });
    for (const { to, protocol, port } of probes) listeners.ensure(to, protocol, port);
    const outcomes = await Promise.all(probes.map(probe));
    return outcomes.flatMap(({ verdict }, index) => {
      const { traffic, topology, protocol } = ASKED[index] as Asked;
      expect(verdict).not.toBe('error');
      return verdict === 'allow' ? `${traffic} ${topology} ${protocol}` : [];
    });
  } finally {
    listeners.close();
  }
}

const EVERYTHING = ASKED.map(({ traffic, topology, protocol }) => `${traffic} ${topology} ${protocol}`);
const ADMITTED = EVERYTHING.filter((text) => !text.startsWith('denied'));
const FREE: readonly EngineName[] = ['none', 'empty'];

describeAsRoot('with ten policies', () => {
  it.each(ENGINES)('%s lets pass what it is to let pass, and nothing else; it leaves nothing behind', async (name) => {
    engine = await openEngine(name);
    const free = FREE.includes(name);
    const took = await engine.load(10, signal);
    expect(took === undefined).toBe(free);
    expect(await passing(engine)).toEqual(free ? EVERYTHING : ADMITTED);
    // And nothing of them stays when there are none any more.
    expect(await engine.load(0, signal)).toBeUndefined();
    expect(await passing(engine)).toEqual(EVERYTHING);
    await engine[Symbol.asyncDispose]();
    engine = undefined;
    expect(knownLabs().filter((lab) => pidOf(lab) === process.pid)).toEqual([]);
  });

  it('agents tell their memory and that of the kernel, and follow a change', async () => {
    engine = await openEngine('bpf');
    await engine.load(10, signal);
    const memory = await engine.memory();
    expect(memory['kernel-memory']).toBeGreaterThan(1);
    expect(memory['agent-memory']).toBeGreaterThan(10);
  });
});
