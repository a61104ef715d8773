/** The grid of a run: what it has, how long it takes, and what it can be told. */
import { describe, expect, it } from 'vitest';
import { ENGINES } from '../../../src/bench/compare/contract.ts';
import {
  formatGrid,
  formatSeconds,
  type Grid,
  planGrid,
  type Stage,
  type Step,
  secondsOf,
  stageEnd,
} from '../../../src/bench/compare/grid.ts';

const full = planGrid({ quick: false });
const quick = planGrid({ quick: true });

function stepsOf(grid: Grid, load?: Step['load']): Step[] {
  return grid.stages.flatMap(({ steps }) => steps).filter((step) => load === undefined || step.load === load);
}

describe('the full grid', () => {
  it('goes over all numbers of policies, in at least five rounds', () => {
    expect(full.stages.map(({ policies }) => policies)).toEqual([0, 1, 10, 100, 1_000, 5_000, 10_000]);
    expect(full.rounds).toBeGreaterThanOrEqual(5);
  });

  it('has latency and connections between pods of one node and of two, for every engine and number of policies', () => {
    for (const { steps } of full.stages) {
      for (const load of ['latency', 'connect'] as const) {
        const found = steps.filter((step) => step.load === load);
        expect(new Set(found.map(({ topology }) => topology))).toEqual(new Set(['one-node', 'two-nodes']));
        for (const { engines } of found) expect(engines).toEqual(ENGINES);
      }
    }
  });

  it('has every load somewhere, and pods without policy beside the most policies', () => {
    const loads = new Set(stepsOf(full).map(({ load }) => load));
    expect([...loads].sort()).toEqual(
      ['busy', 'connect', 'flood', 'latency', 'pod-time', 'policy-time', 'stream', 'streams', 'udp'].sort(),
    );
    expect(full.stages.at(-1)?.steps.some(({ traffic }) => traffic === 'unselected')).toBe(true);
  });

  it('takes less than 40 minutes', () => {
    expect(secondsOf(full)).toBeLessThan(40 * 60);
  });
});

describe('the quick grid', () => {
  it('takes less than two minutes, in five rounds', () => {
    expect(secondsOf(quick)).toBeLessThan(120);
    expect(quick.rounds).toBe(5);
  });

  it('has every engine, with latency and connections at each number of policies', () => {
    expect(quick.engines).toEqual(ENGINES);
    for (const { steps } of quick.stages) {
      for (const load of ['latency', 'connect'] as const) {
        const found = steps.filter((step) => step.load === load && step.rounds === undefined);
        expect(found.flatMap(({ engines }) => engines)).toEqual(expect.arrayContaining([...ENGINES]));
      }
    }
  });
});

describe('any grid', () => {
  it('gives each stage its part of the time, what others have left over too', () => {
    for (const grid of [full, quick]) {
      const [first, ...others] = grid.stages as [Stage, ...Stage[]];
      const last = others.at(-1) as Stage;
      expect(stageEnd(grid, first, 0)).toBeLessThan(grid.seconds / 2);
      expect(stageEnd(grid, last, 100)).toBe(grid.seconds);
      const ends = grid.stages.map((stage) => stageEnd(grid, stage, 0));
      for (const end of ends) expect(end).toBeLessThan(grid.seconds + 1);
    }
    expect([quick.seconds, full.seconds]).toEqual([105, 38 * 60]);
  });

  it('runs all rounds that a person asks for', () => {
    expect(planGrid({ quick: true, rounds: 20 })).toMatchObject({ rounds: 20, leastRounds: 20 });
    expect(quick).toMatchObject({ rounds: 5, leastRounds: 3 });
    expect(full).toMatchObject({ rounds: 6, leastRounds: 5 });
  });

  it('asks for no allowed traffic where there is no policy, and drops only from those who enforce', () => {
    for (const grid of [full, quick]) {
      for (const step of grid.stages[0]?.steps ?? []) expect(step.traffic).toBe('unselected');
      for (const { engines } of stepsOf(grid, 'flood')) expect(engines).not.toContain('none');
      for (const { engines } of stepsOf(grid, 'flood')) expect(engines).not.toContain('empty');
    }
  });

  it('keeps to the engines, policies and rounds that it is told, in its own order', () => {
    const grid = planGrid({ quick: true, engines: ['bpf', 'none'], policies: [1_000, 10, 10], rounds: 2 });
    expect(grid).toMatchObject({ engines: ['none', 'bpf'], rounds: 2 });
    expect(grid.stages.map(({ policies }) => policies)).toEqual([10, 1_000]);
    expect(stepsOf(grid, 'flood').map(({ engines }) => engines)).toEqual([['bpf']]);
    expect(stepsOf(planGrid({ quick: true, engines: ['none'] }), 'flood')).toEqual([]);
  });

  it('takes the time of every turn', () => {
    const narrow = planGrid({ quick: false, engines: ['none', 'bpf'], policies: [10], rounds: 6 });
    const steps = [...stepsOf(narrow, 'stream'), ...stepsOf(narrow, 'streams')];
    expect(steps.map(({ turns }) => turns?.count)).toEqual([4, 4, 4, 4]);
    const stages = narrow.stages.map((stage) => ({
      ...stage,
      steps: stage.steps.map(({ turns: _, ...step }) => step),
    }));
    const once = { ...narrow, stages };
    // Two loads, two topologies, two engines, six rounds, three more turns of a second and a bit.
    expect(secondsOf(narrow) - secondsOf(once)).toBeCloseTo(2 * 2 * 2 * 6 * 3 * 1.1);
    expect(formatGrid(narrow)).toContain('(allowed, one node, 4 turns a round for none, empty, bpf)');
  });

  it('is told before it begins', () => {
    const text = formatGrid(planGrid({ quick: true, engines: ['none', 'bpf'], policies: [1_000] }));
    expect(text).toMatch(/^none, bpf; 5 rounds, about \d+ s\n1,000 policies\n {2}latency/);
    expect(text).toContain('  a flood that is dropped (denied, one node): bpf\n');
    expect(formatSeconds(130)).toBe('2 min 10 s');
  });
});
