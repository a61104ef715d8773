/** What every form of a report says in the same words: on what, when, how often, and what was to be reached. */
import type { Goal } from '../contract.ts';
import { formatSeconds } from '../grid.ts';
import { formatRatio } from './numbers.ts';
import type { SavedReport } from './saved-report.ts';

export function titleOf({ nodes }: SavedReport): string {
  return nodes === undefined ? 'Engines side by side' : 'Between pods of a cluster';
}

/** `AMD EPYC 9B14, 4 cores, 24 GB, Linux 6.18.0` */
export function machineText({ machine }: SavedReport): string {
  const { processor, cores, memory, kernel } = machine;
  const gigabytes = `${Math.round(memory / 2 ** 30)} GB`;
  return `${processor}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${gigabytes}, Linux ${kernel}`;
}

/** `2026-11-21 08:00 UTC, 36 min 2 s, 5 rounds, load 0.4 before and 3.1 after` */
export function runText({ started, seconds, rounds, quick, machine, nodes }: SavedReport): string {
  const [before, after] = machine.load;
  return [
    ...(nodes === undefined ? [] : [`pods of a cluster (${nodes.join(', ')})`]),
    `${started.slice(0, 16).replace('T', ' ')} UTC`,
    `${formatSeconds(seconds)}${quick ? ' (--quick)' : ''}`,
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}`,
    `load ${before.toFixed(1)} before and ${after.toFixed(1)} after`,
  ].join(', ');
}

/** `1.04, to reach ≤ 1.05` */
export function goalText({ value, limit, atLeast }: Goal): string {
  return `${formatRatio(value)}, to reach ${atLeast ? '≥' : '≤'} ${limit}`;
}

export const LEGEND = `Medians of all rounds; behind them the ratio to none in the same rounds, ± its quartiles.
≈1: no difference, or one that is smaller than the spread.`;

/** Beneath a plot. */
export function captionOf(report: SavedReport): string {
  const { started, rounds } = report;
  return `${machineText(report)}; ${rounds} rounds, ${started.slice(0, 10)}`;
}
