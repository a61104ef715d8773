/**
 * Months in minutes: pods, policies and labels churn, the server cuts and forgets, agents are killed and started again; whenever
 * the cluster is back at its base, the agent holds what it held there before. SELVEDGE_SOAK_SECONDS=75 is `npm run test:soak`.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { Churn, generator } from './support/churn.ts';
import { FedNode } from './support/fed-node.ts';
import { type Footprint, footprintOf, totalOf } from './support/footprint.ts';
import type { NodeAgent } from './support/node-agent.ts';

const seconds = Number(process.env.SELVEDGE_SOAK_SECONDS ?? 8);
const seed = Number(process.env.SELVEDGE_SEED ?? Date.now() % 2 ** 31);
/** Of a round: churn, then back to the base, and a look. */
const ROUND_MS = Math.max(2_000, Math.min(5_000, seconds * 100));
/** Agents are killed and started in the first part of the rounds; then one lives on, whose memory is looked at. */
const RESTARTS = 1 / 3;
/** What may differ between two looks, for sockets that come and go, in a process that has warmed up. */
const DESCRIPTORS = 4;
/** MiB: the collector's own ups and downs. */
const MEMORY = 24;
/** Whether web and db reach api. */
const AT_BASE = [true, false];

interface Look extends Footprint {
  readonly second: number;
  readonly steps: number;
  readonly pid: number;
}

describeAsRoot('an agent over a long time', () => {
  let fed: FedNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    fed = await FedNode.start();
    fed.admit('api', 'web');
    for (const [place, name] of ['web', 'api', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
    await start();
    for (const name of ['web', 'api', 'db']) await fed.node.whenUp(name);
  });

  afterAll(async () => {
    await fed?.[Symbol.asyncDispose]();
  });

  const start = async () => {
    // As bin/selvedge starts it.
    agent = fed.agent({ flags: ['--max-semi-space-size=4', '--heap-growing-percent=15'] });
    await agent.enforced('web', 'api', 'db');
  };

  it('holds no more than in the beginning', { timeout: 120_000 + seconds * 4_000 }, async () => {
    const churn = new Churn(fed, seed);
    const random = generator(seed + 1);
    const looks: Look[] = [];
    const began = performance.now();
    const elapsed = () => (performance.now() - began) / 1000;
    const look = (footprint: Footprint) => {
      looks.push({ ...footprint, second: Math.round(elapsed()), steps: churn.steps, pid: agent.pid });
    };
    const first = await settled();
    look(first);
    while (elapsed() < seconds) {
      const end = performance.now() + ROUND_MS;
      while (performance.now() < end) {
        churn.step();
        disturb(random());
        await new Promise((resolve) => setTimeout(resolve, random() * 10));
      }
      if (looks.length === 1 || elapsed() < seconds * RESTARTS) {
        await agent.end(random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
        await start();
      }
      churn.rest();
      // What a server has cut or refused is asked for again in its own time, a second or more later.
      await eventually(() => expect([reached(), heldBy(held())]).toEqual([AT_BASE, heldBy(first)]), 100).catch(
        (error) => {
          look(held());
          throw new Error(`seed ${seed}\n${tableOf(looks)}`, { cause: error });
        },
      );
      look(await settled());
      expect([reached(), heldBy(looks.at(-1) as Look)]).toEqual([AT_BASE, heldBy(first)]);
    }
    console.log(`seed ${seed}\n${tableOf(looks)}`);
    const last = looks.filter(({ pid }) => pid === agent.pid);
    const [early, late] = [last.slice(0, Math.ceil(last.length / 2)), last.slice(Math.floor(last.length / 2))];
    const least = (some: readonly Look[], what: 'memory' | 'descriptors') => Math.min(...some.map((one) => one[what]));
    expect(least(late, 'descriptors') - least(early, 'descriptors')).toBeLessThanOrEqual(DESCRIPTORS);
    expect(least(late, 'memory') - least(early, 'memory')).toBeLessThanOrEqual(MEMORY);
  });

  /** What the server does to its clients now and then. */
  function disturb(dice: number): void {
    if (dice < 0.002) fed.server.cutAll();
    else if (dice < 0.004) fed.server.compact();
    else if (dice < 0.01) fed.server.bookmark();
    else if (dice < 0.012) fed.server.fail({ code: 500, times: 2 });
  }

  const reached = () => ['web', 'db'].map((name) => fed.node.reaches(name, 'api'));
  const held = () => footprintOf(agent.pid, fed.pins.path);

  /** The footprint once it stands still. */
  async function settled(): Promise<Footprint> {
    let before = '';
    for (let same = 0, tries = 0; same < 4 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const now = totalOf(held());
      same = now === before ? same + 1 : 0;
      before = now;
    }
    return held();
  }
});

/** Counts of the base's own pods under policies that are gone stay for whoever reads them. */
function heldBy({ pins, entries: { counters: _counters, ...entries } }: Footprint): object {
  return { pins, ...entries };
}

function tableOf(looks: readonly Look[]): string {
  const names = Object.keys(looks[0]?.entries ?? {});
  const rows = looks.map(({ second, steps, pid, memory, descriptors, pins, entries }) => {
    return [second, steps, pid, memory, descriptors, pins, ...names.map((name) => entries[name] ?? 0)];
  });
  const table = [['s', 'changes', 'agent', 'MiB', 'fds', 'pins', ...names], ...rows].map((row) => row.map(String));
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n');
}
