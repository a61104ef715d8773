/** Figures -> what a plot shows: a series for each engine over the number of policies, ranges and ticks of its axes, places of labels. */
import { MEASURES, type Measure, type Topology } from '../contract.ts';
import { topologyText } from './numbers.ts';
import type { SavedReport } from './saved-report.ts';
import { enginesOf, isHigherBetter, withoutPolicies } from './tables.ts';

export interface Point {
  readonly policies: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface Series {
  readonly engine: string;
  /** With rising numbers of policies. */
  readonly points: readonly Point[];
}

export interface Plot {
  /** Of its files, without ending. */
  readonly name: string;
  readonly title: string;
  readonly subtitle: string;
  readonly unit: string;
  readonly series: readonly Series[];
  /** All engines of the report, in its order. */
  readonly engines: readonly string[];
}

const DRAWN: readonly { readonly measure: Measure; readonly name: string }[] = [
  { measure: 'connect-p50', name: 'connect' },
  { measure: 'connect-rate', name: 'rate' },
  { measure: 'latency-p50', name: 'latency' },
];
const TOPOLOGIES: readonly Topology[] = ['one-node', 'two-nodes'];

/** Only of what was measured with at least two numbers of policies. */
export function plotsOf(report: SavedReport): readonly Plot[] {
  const figures = withoutPolicies(report.figures).filter(({ traffic }) => traffic === 'allowed');
  const engines = enginesOf(report.figures);
  return DRAWN.flatMap(({ measure, name }) =>
    TOPOLOGIES.flatMap((topology): Plot[] => {
      const own = figures.filter((one) => one.measure === measure && one.topology === topology);
      if (new Set(own.map(({ policies }) => policies)).size < 2) return [];
      const series = engines.flatMap((engine): Series[] => {
        const points = own.filter((one) => one.engine === engine).toSorted((a, b) => a.policies - b.policies);
        return points.length === 0 ? [] : [{ engine, points }];
      });
      const better = isHigherBetter(measure) ? 'higher is better' : 'lower is better';
      const { text, unit } = MEASURES[measure];
      return [
        {
          name: `${name}-${topology}`,
          title: text.charAt(0).toUpperCase() + text.slice(1),
          subtitle: `${topologyText(topology)}, traffic allowed by the last of all policies; ${better}`,
          unit,
          series,
          engines,
        },
      ];
    }),
  );
}

/** On an axis of powers of ten nothing is at 0: it has a place of its own, left of 1, behind a break. */
export function placeOfCount(policies: number): number {
  return policies === 0 ? -0.8 : Math.log10(policies);
}

export interface Range {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

/** Of a logarithmic axis that has room for all points and their bars. */
export function rangeOf(series: readonly Series[]): Range {
  const points = series.flatMap((one) => one.points);
  // A quartile of 0 has no place on the axis.
  const lowest = Math.min(...points.map(({ low, median }) => (low > 0 ? low : median)).filter((value) => value > 0));
  const highest = Math.max(...points.map(({ high }) => high));
  // What differs by a tenth shall not look like ten times as much.
  const room = Math.max(0.08 * Math.log10(highest / lowest), 0.04, (MIN_DECADES - Math.log10(highest / lowest)) / 2);
  const low = lowest / 10 ** room;
  const high = highest * 10 ** room;
  return { low, high, ticks: ticksIn(low, high) };
}

const MIN_DECADES = 0.3;
const STEPS: readonly (readonly number[])[] = [
  [1],
  [1, 3],
  [1, 2, 5],
  [1, 1.5, 2, 3, 4, 5, 7],
  [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9],
];
const FEW_TICKS = 4;

/** The fewest that are enough. */
function ticksIn(low: number, high: number): readonly number[] {
  const all = STEPS.map((steps) => {
    const powers = Array.from({ length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 }, (_, index) => {
      return 10 ** (Math.floor(Math.log10(low)) + index);
    });
    return powers
      .flatMap((power) => steps.map((step) => Number((step * power).toPrecision(3))))
      .filter((tick) => tick >= low && tick <= high);
  });
  return all.find((ticks) => ticks.length >= FEW_TICKS) ?? all.at(-1) ?? [];
}

/** Places in pixels, in any order -> as near to them as can be, none nearer to another than `gap`, all within 0 and `height`. */
export function spread(places: readonly number[], gap: number, height: number): readonly number[] {
  const order = places.map((_, index) => index).toSorted((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
  // Neighbours that are too near form a block around their middle, and blocks that meet become one.
  const blocks: { members: number[]; centre: number }[] = [];
  for (const index of order) {
    let block = { members: [index], centre: places[index] ?? 0 };
    for (let last = blocks.at(-1); last && startOf(block, gap) < endOf(last, gap) + gap; last = blocks.at(-1)) {
      blocks.pop();
      const members = [...last.members, ...block.members];
      block = { members, centre: members.reduce((sum, member) => sum + (places[member] ?? 0), 0) / members.length };
    }
    const half = ((block.members.length - 1) * gap) / 2;
    block.centre = Math.min(Math.max(block.centre, half), Math.max(half, height - half));
    blocks.push(block);
  }
  const found: number[] = [];
  for (const block of blocks) {
    for (const [row, member] of block.members.entries()) found[member] = startOf(block, gap) + row * gap;
  }
  return found;
}

type Block = { readonly members: readonly number[]; readonly centre: number };

function startOf({ members, centre }: Block, gap: number): number {
  return centre - ((members.length - 1) * gap) / 2;
}

function endOf({ members, centre }: Block, gap: number): number {
  return centre + ((members.length - 1) * gap) / 2;
}
