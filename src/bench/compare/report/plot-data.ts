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
  /** Where a line leaves the plot: nothing was measured there. */
  readonly isCut?: true;
}

export interface Series {
  readonly engine: string;
  /** With rising numbers of policies. */
  readonly points: readonly Point[];
  /** Ends above what is drawn. */
  readonly leaves?: true;
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

interface Drawing {
  readonly measure: Measure;
  readonly name: string;
  /** Ratios to `none` up to this; without it the figures themselves. */
  readonly ratiosTo?: number;
}

const DRAWN: readonly Drawing[] = [
  { measure: 'connect-p50', name: 'connect' },
  { measure: 'connect-p50', name: 'connect-ratio', ratiosTo: 2 },
  { measure: 'connect-rate', name: 'rate' },
  { measure: 'latency-p50', name: 'latency' },
];
const TOPOLOGIES: readonly Topology[] = ['one-node', 'two-nodes'];

/** Only of what was measured with at least two numbers of policies. */
export function plotsOf(report: SavedReport): readonly Plot[] {
  return DRAWN.flatMap((drawing) => TOPOLOGIES.flatMap((topology) => plotOf(report, drawing, topology)));
}

function plotOf(report: SavedReport, { measure, name, ratiosTo }: Drawing, topology: Topology): readonly Plot[] {
  const own = withoutPolicies(report.figures)
    .filter((one) => one.measure === measure && one.topology === topology && one.traffic === 'allowed')
    .toSorted((a, b) => a.policies - b.policies);
  if (new Set(own.map(({ policies }) => policies)).size < 2) return [];
  if (ratiosTo !== undefined && !own.some(({ ratio }) => ratio !== undefined)) return [];
  const engines = enginesOf(report.figures);
  const series = engines.flatMap((engine): Series[] => {
    const figures = own.filter((one) => one.engine === engine);
    if (ratiosTo === undefined) return figures.length === 0 ? [] : [{ engine, points: figures }];
    const ratios = figures.flatMap(({ policies, ratio }): Point[] => {
      if (ratio !== undefined) return [{ policies, ...ratio }];
      return engine === 'none' ? [{ policies, median: 1, low: 1, high: 1 }] : [];
    });
    return ratios.length === 0 ? [] : [cutAt(ratiosTo, { engine, points: ratios })];
  });
  const better = isHigherBetter(measure) ? 'higher is better' : 'lower is better';
  const { text, unit } = MEASURES[measure];
  const title = text.charAt(0).toUpperCase() + text.slice(1);
  const where = `${topologyText(topology)}, traffic allowed by the last of all policies; ${better}`;
  const shown =
    ratiosTo === undefined
      ? { title, subtitle: where, unit }
      : {
          title: `${title}, against none`,
          subtitle: `${where}; what is above ${ratiosTo} times is cut off`,
          unit: 'times',
        };
  return [{ name: `${name}-${topology}`, ...shown, series, engines }];
}

/** Lines end where they go above `most`. */
function cutAt(most: number, { engine, points }: Series): Series {
  const shown = points.flatMap((point, index): Point[] => {
    const next = points[index + 1];
    const crossing =
      point.policies > 0 && next !== undefined && point.median > most !== next.median > most
        ? [crossingOf(most, point, next)]
        : [];
    return point.median > most ? crossing : [{ ...point, high: Math.min(point.high, most) }, ...crossing];
  });
  return { engine, points: shown, ...((points.at(-1)?.median ?? 0) > most && { leaves: true }) };
}

/** Of a straight line over two logarithmic axes. */
function crossingOf(most: number, from: Point, to: Point): Point {
  const part = Math.log(most / from.median) / Math.log(to.median / from.median);
  const policies = from.policies * (to.policies / from.policies) ** part;
  return { policies, median: most, low: most, high: most, isCut: true };
}

/**
 * On an axis of powers of ten nothing is at 0: it has a place of its own, left of all others, behind a break.
 * @param least of the numbers that are not 0
 */
export function placeOfCount(policies: number, least: number): number {
  return policies === 0 ? Math.log10(least) - BESIDE_DECADES : Math.log10(policies);
}

const BESIDE_DECADES = 0.8;

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
