import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts';
import { Faults } from '../../src/faults.ts';
import { Guards } from '../../src/guards.ts';
import type { NodeLinks } from '../../src/model/links.ts';
import { AgentLog } from '../../src/observe/agent-log.ts';
import { Arrivals } from '../../src/observe/arrivals.ts';
import { Timings } from '../../src/observe/timings.ts';

/** What `guard` gives next, by interface; it has its programs where nothing is said. */
class ScriptedDataplane extends MemoryDataplane {
  readonly answers = new Map<number, () => Promise<void>>();

  override guard(ifindex: number): Promise<void> | undefined {
    super.guard(ifindex);
    return this.answers.get(ifindex)?.();
  }
}

const pods = new Map(
  [1, 2, 3, 4, 5, 6].map((ifindex) => [ifindex, { ifindex, name: `veth${ifindex}`, addresses: [] }]),
);
const links: NodeLinks = { pods, exits: new Map(), ownAddresses: new Set(), gone: new Set() };
let dataplane: ScriptedDataplane;
let faults: Faults;
let said: string[];
let guards: Guards;

beforeEach(() => {
  vi.useFakeTimers();
  dataplane = new ScriptedDataplane();
  faults = new Faults();
  said = [];
  const timings = new Timings();
  const arrivals = new Arrivals('node1');
  const write = (line: string) => {
    const { event, what, err } = JSON.parse(line);
    said.push([event, what ?? err?.message].flat().filter(Boolean).join(': '));
  };
  const told = new AgentLog(pino({ level: 'info' }, { write }), arrivals, timings);
  guards = new Guards({ dataplane, faults, arrivals, told, timings, isThere: ({ ifindex }) => pods.has(ifindex) });
});

afterEach(() => vi.useRealTimers());

it('what cannot be guarded is tried again until it is, and each reason is said once', async () => {
  const fail = (why: string) => dataplane.answers.set(2, () => Promise.reject(new Error(why)));
  fail('no room');
  const guard = () => guards.guard({ ifindex: 2, name: 'veth2' }, 'pods', performance.now());
  guard();
  guard();
  await vi.advanceTimersByTimeAsync(3_000);
  // Asked for twice, tried again as one.
  expect(dataplane.guarded).toEqual([2, 2, 2, 2, 2]);
  fail('no way');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(said).toEqual(['guard-failed: no room', 'guard-failed: no way']);
  expect(faults.lines()).toHaveLength(1);
  dataplane.answers.clear();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(dataplane.guarded).toHaveLength(8);
  expect(faults.lines()).toEqual([]);
});

it('all interfaces are looked at in turn, and one that has lost its programs gets them again', async () => {
  const looking = guards.lookAfter(() => links);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(dataplane.guarded).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3, 4]);
  dataplane.answers.set(5, async () => void dataplane.answers.delete(5));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(said).toEqual(['mended: the programs of veth5']);
  looking.unsubscribe();
  const looks = dataplane.guarded.length;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(dataplane.guarded).toHaveLength(looks);
});
