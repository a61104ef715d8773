/** What the project wants to reach, judged by given figures. */
import { expect, it } from 'vitest';
import type { EngineName, Figure, Measure } from '../../../src/bench/compare/contract.ts';
import { goalsOf } from '../../../src/bench/compare/goals.ts';

function figure(engine: EngineName, measure: Measure, median: number, more: Partial<Figure> = {}): Figure {
  const place = { topology: 'one-node', traffic: 'allowed', policies: 10 } as const;
  return { engine, ...place, measure, samples: [median], median, low: median, high: median, ...more };
}

function ratio(median: number) {
  return { ratio: { median, low: median, high: median, differs: true } };
}

it('the worst cell of bpf counts, and is named', () => {
  const goals = goalsOf([
    figure('bpf', 'latency-p50', 20, ratio(1.04)),
    figure('bpf', 'latency-p50', 20, { ...ratio(1.06), topology: 'two-nodes', policies: 1 }),
    figure('bpf', 'latency-p50', 20, { ...ratio(1.5), traffic: 'unselected' }),
    figure('iptables-nft', 'latency-p50', 20, ratio(1.2)),
  ]);
  expect(goals).toEqual([
    {
      what: 'open connection against no program at all, both pods under policy',
      value: 1.06,
      limit: 1.05,
      atLeast: false,
      reached: false,
      by: 'bpf, two nodes, 1 policy',
    },
  ]);
});

it('a difference that is smaller than the spread is none', () => {
  const within = { ratio: { median: 1.2, low: 0.9, high: 1.3, differs: false } };
  const figures = [
    figure('bpf', 'latency-p50', 20, within),
    figure('bpf', 'latency-p50', 20, { ...ratio(1.01), policies: 1 }),
  ];
  expect(goalsOf(figures)).toMatchObject([{ value: 1.01, by: 'bpf, one node, 1 policy' }]);
});

it('of throughput the least counts', () => {
  const goals = goalsOf([
    figure('bpf', 'stream-rate', 20, ratio(0.98)),
    figure('bpf', 'streams-rate', 20, ratio(0.99)),
  ]);
  expect(goals).toMatchObject([{ value: 0.98, atLeast: true, reached: true }]);
});

it('what ipset grows by is compared as a ratio to none, each in its own rounds', () => {
  const goals = goalsOf([
    figure('ipset-nft', 'connect-p50', 100, ratio(1.2)),
    figure('ipset-nft', 'connect-p50', 200, { ...ratio(1.5), policies: 5_000 }),
    figure('ipset-legacy', 'connect-p50', 100),
    figure('ipset-legacy', 'connect-p50', 140, { policies: 5_000 }),
  ]);
  expect(goals).toMatchObject([
    { value: 1.4, limit: 1.3, reached: false, by: 'ipset-legacy, one node, 5,000 policies' },
  ]);
  expect(goalsOf([figure('ipset-nft', 'connect-p50', 100, ratio(1.2))])).toEqual([]);
});

it('latency among changes is compared with itself, round by round', () => {
  const calm = figure('bpf', 'latency-p50', 20, { samples: [20, 40, 20] });
  const busy = figure('bpf', 'busy-latency-p50', 22, { samples: [21, 44, 23] });
  expect(goalsOf([calm, busy])).toMatchObject([{ value: 1.1, limit: 1.1, reached: true }]);
});

it('a policy has another limit for ipset, and counts at 1,000 policies alone', () => {
  const goals = goalsOf([
    figure('bpf', 'policy-time-p99', 9, { policies: 1_000, traffic: 'denied' }),
    figure('bpf', 'policy-time-p99', 90, { policies: 10_000, traffic: 'denied' }),
    figure('ipset-nft', 'policy-time-p99', 90, { policies: 1_000, traffic: 'denied' }),
  ]);
  expect(goals.map(({ value, limit, reached }) => ({ value, limit, reached }))).toEqual([
    { value: 9, limit: 10, reached: true },
    { value: 90, limit: 100, reached: true },
  ]);
});
