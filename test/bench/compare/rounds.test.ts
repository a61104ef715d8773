/** Runs of a benchmark: in turn over the engines, and what becomes of their samples. */
import { describe, expect, it } from 'vitest';
import type { EngineName, Sample } from '../../../src/bench/compare/contract.ts';
import { figuresOf, quantile, ratioOf } from '../../../src/bench/compare/figures.ts';
import { inOrder, type Run, runRounds, Samples } from '../../../src/bench/compare/rounds.ts';

const PLACE = { topology: 'one-node', traffic: 'allowed', policies: 10 } as const;
const { signal } = new AbortController();

/** Samples are taken from the list, one for each call; an error is thrown. */
function runOf(engine: EngineName, samples: (Sample | Error)[], calls: string[] = [], what = 'latency'): Run {
  let next = 0;
  return {
    cell: { engine, ...PLACE },
    what,
    sample: async () => {
      calls.push(engine);
      const sample = samples[next++ % samples.length] as Sample | Error;
      if (sample instanceof Error) throw sample;
      return sample;
    },
  };
}

function nobodyFails(_: Run, error: unknown): void {
  throw error;
}

describe('rounds', () => {
  it('give each engine one turn in every round, and nobody always the same place or neighbour', async () => {
    const calls: string[] = [];
    const group = (['none', 'empty', 'bpf'] as const).map((engine) => runOf(engine, [{}], calls));
    await runRounds([group], { rounds: 4, signal, onFailure: nobodyFails });
    const rounds = [0, 1, 2, 3].map((round) => calls.slice(3 * round, 3 * round + 3).join(' '));
    expect(rounds).toEqual(['none empty bpf', 'none bpf empty', 'bpf none empty', 'bpf empty none']);
  });

  it('give a noisy run several turns, each beside the same one of the others', async () => {
    const calls: string[] = [];
    const numbers = [1, 2, 3, 4, 5, 6].map((value) => ({ 'streams-rate': value }));
    const [none, bpf, naive] = (['none', 'bpf', 'iptables-nft'] as const).map((name) => runOf(name, numbers, calls));
    const often = [none, bpf].map((run) => ({ ...(run as Run), turns: 3 }));
    const { series } = await runRounds([[...often, naive as Run]], { rounds: 2, signal, onFailure: nobodyFails });
    expect(calls.slice(0, 7).join(' ')).toBe('none bpf iptables-nft none bpf none bpf');
    expect(calls).toHaveLength(14);
    const byEngine = Object.fromEntries(series.map(({ cell, values }) => [cell.engine, [...values]]));
    expect(byEngine).toEqual({
      none: [1, 2, 3, 4, 5, 6],
      bpf: [1, 2, 3, 4, 5, 6],
      'iptables-nft': [1, undefined, undefined, 2],
    });
  });

  it('finish all loads of a round before the next begins', async () => {
    const calls: string[] = [];
    const groups = ['latency', 'connect'].map((what) =>
      [runOf('none', [{}]), runOf('bpf', [{}])].map((run) => ({ ...run, what })),
    );
    const onRun = (round: number, { what }: Run) => calls.push(`${round} ${what}`);
    await runRounds(groups, { rounds: 2, signal, onRun, onFailure: nobodyFails });
    expect([...new Set(calls)]).toEqual(['0 latency', '0 connect', '1 latency', '1 connect']);
  });

  it('take every engine to every place when there are as many rounds as engines and more', () => {
    const places = Array.from({ length: 14 }, (_, round) => inOrder([0, 1, 2, 3, 4, 5, 6], round).indexOf(0));
    expect(new Set(places).size).toBe(7);
  });

  it('try a run that fails once more, and go on without one that fails again', async () => {
    const failures: string[] = [];
    const once = runOf('none', [new Error('busy'), { 'latency-p50': 1 }]);
    const always = runOf('bpf', [new Error('broken')]);
    const samples = await runRounds([[once, always]], {
      rounds: 1,
      signal,
      onFailure: ({ cell }, error) => failures.push(`${cell.engine}: ${(error as Error).message}`),
    });
    expect(failures).toEqual(['bpf: broken']);
    expect(samples.series.map(({ cell, values }) => [cell.engine, values])).toEqual([['none', [1]]]);
  });

  it('are fewer for a run that needs few, and end when there were enough', async () => {
    const calls: string[] = [];
    const short = { ...runOf('bpf', [{}], calls), rounds: 2 };
    const asked: number[] = [];
    const enough = (round: number) => {
      asked.push(round);
      return round === 3;
    };
    await runRounds([[runOf('none', [{}], calls), short]], { rounds: 5, signal, enough, onFailure: nobodyFails });
    expect(calls.filter((engine) => engine === 'none')).toHaveLength(3);
    expect(calls.filter((engine) => engine === 'bpf')).toHaveLength(2);
    expect(asked).toEqual([0, 1, 2, 3]);
  });

  it('end with the signal, also when a run fails of it', async () => {
    const stop = new AbortController();
    const run = { ...runOf('none', [{}]), sample: async () => stop.abort(new Error('stopped')) as never };
    const ended = runRounds([[run]], { rounds: 3, signal: stop.signal, onFailure: nobodyFails });
    await expect(ended).rejects.toThrow('stopped');
  });
});

describe('figures', () => {
  it('are medians and quartiles of the rounds, and ratios to none of the same rounds', () => {
    const samples = new Samples();
    const none = [10, 20, 40, 10, 20];
    const bpf = [11, 24, 40, 13, 20];
    for (const [round, value] of none.entries())
      samples.add({ engine: 'none', ...PLACE }, { 'latency-p50': value }, round);
    for (const [round, value] of bpf.entries())
      samples.add({ engine: 'bpf', ...PLACE }, { 'latency-p50': value }, round);
    const [base, figure] = figuresOf(samples.series);
    expect(base).toEqual({
      engine: 'none',
      ...PLACE,
      measure: 'latency-p50',
      samples: none,
      median: 20,
      low: 10,
      high: 20,
    });
    expect(figure).toMatchObject({ median: 20, low: 13, high: 24 });
    // 1.1, 1.2, 1, 1.3, 1
    expect(figure?.ratio).toEqual({ median: 1.1, low: 1, high: 1.2, differs: false });
  });

  it('compare only rounds that both have', () => {
    const values = [2, undefined, 6];
    expect(ratioOf(values, [1, 1, 2])).toEqual({ median: 2.5, low: 2.25, high: 2.75, differs: true });
    expect(ratioOf([undefined], [1])).toBeUndefined();
  });

  it('say that nothing differs where 1 is between the quartiles', () => {
    expect(ratioOf([0.9, 1, 1.2], [1, 1, 1])?.differs).toBe(false);
    expect(ratioOf([0.8, 0.9, 0.95], [1, 1, 1])?.differs).toBe(true);
  });

  it('are left out where there is no sample, and have no ratio where none has none', () => {
    const samples = new Samples();
    samples.add({ engine: 'ipset-nft', ...PLACE }, { 'load-time': 5 }, 0);
    samples.add({ engine: 'bpf', ...PLACE, traffic: 'denied' }, {}, 0);
    expect(figuresOf(samples.series)).toEqual([
      { engine: 'ipset-nft', ...PLACE, measure: 'load-time', samples: [5], median: 5, low: 5, high: 5 },
    ]);
  });

  it('have quantiles between the values around them', () => {
    expect(quantile([4, 1, 2, 3], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2);
    expect(quantile([7], 0.99)).toBe(7);
  });
});
