/** Samples of all rounds -> figures: medians with their quartiles, and ratios to no program at all in the same rounds. */
import type { Figure, Ratio } from './contract.ts';
import { placeOf, type Series } from './rounds.ts';

export function figuresOf(series: readonly Series[]): readonly Figure[] {
  const bases = new Map(
    series.filter(({ cell }) => cell.engine === 'none').map((one) => [`${placeOf(one.cell)} ${one.measure}`, one]),
  );
  return series.flatMap(({ cell, measure, values }): Figure[] => {
    const samples = values.filter((value) => value !== undefined);
    if (samples.length === 0) return [];
    const base = cell.engine === 'none' ? undefined : bases.get(`${placeOf(cell)} ${measure}`);
    const ratio = base && ratioOf(values, base.values);
    return [{ ...cell, measure, samples, ...spreadOf(samples), ...(ratio && { ratio }) }];
  });
}

type ByRound = readonly (number | undefined)[];

/** Of each round that has both. */
export function ratioOf(values: ByRound, bases: ByRound): Ratio | undefined {
  const ratios = values.flatMap((value, round) => {
    const base = bases[round];
    return value === undefined || base === undefined || base === 0 ? [] : [value / base];
  });
  if (ratios.length === 0) return undefined;
  const spread = spreadOf(ratios);
  return { ...spread, differs: spread.low > 1 || spread.high < 1 };
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** Between two values that stand around it, in proportion. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = part * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}
