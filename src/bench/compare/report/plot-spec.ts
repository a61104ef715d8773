/** A plot's data -> what Vega draws: lines with marks and bars over two logarithmic axes, each line named at its end. */
import type { Spec } from 'vega';
import { looksOf } from './looks.ts';
import { formatValue } from './numbers.ts';
import { type Plot, placeOfCount, rangeOf, spread } from './plot-data.ts';

/** Of the whole picture, in pixels. */
export const SIZE = { width: 760, height: 480 };
const PADDING = { left: 66, right: 142, top: 78, bottom: 84 };
const PLOT = { width: SIZE.width - PADDING.left - PADDING.right, height: SIZE.height - PADDING.top - PADDING.bottom };
/** Between engines at the same number of policies, so that one does not hide the other. */
const BESIDE = 4;
const LINE_HEIGHT = 15;
export const FONT = 'DejaVu Sans';
const FONTS = `${FONT}, Verdana, sans-serif`;
const INK = '#222222';

/** @param caption on what it was measured */
export function plotSpec(plot: Plot, caption: string): Spec {
  const { low, high, ticks } = rangeOf(plot.series);
  const counts = countsOf(plot);
  const places = counts.map((count) => placeOfCount(count, leastOf(counts)));
  const texts = Object.fromEntries(counts.map((count, index) => [places[index], shortCount(count)]));
  const tickTexts = Object.fromEntries(ticks.map((tick) => [tick, tickText(tick)]));
  return {
    ...{ width: PLOT.width, height: PLOT.height, padding: PADDING, autosize: 'none', background: 'white' },
    data: dataOf(plot, low, high),
    scales: [
      {
        name: 'x',
        type: 'linear',
        zero: false,
        domain: [places[0] ?? 0, places.at(-1) ?? 1],
        range: [30, PLOT.width - 20],
      },
      { name: 'y', type: 'log', domain: [low, high], range: 'height' },
    ],
    axes: [
      {
        ...{ orient: 'left', scale: 'y', values: [...ticks], grid: true, gridColor: '#dddddd' },
        encode: { labels: { update: { text: { signal: `(${JSON.stringify(tickTexts)})[datum.value]` } } } },
      },
      {
        ...{ orient: 'bottom', scale: 'x', values: places, title: 'number of policies' },
        encode: { labels: { update: { text: { signal: `(${JSON.stringify(texts)})[datum.value]` } } } },
      },
    ],
    marks: [
      ...(counts[0] === 0 && counts.length > 1 ? breakMarks(((places[0] ?? 0) + (places[1] ?? 0)) / 2) : []),
      ...seriesMarks(),
      ...labelMarks(),
      textMark(plot.title, { y: -56, size: 15, bold: true }),
      textMark(plot.subtitle, { y: -37, size: 12 }),
      textMark(plot.unit, { x: -28, y: -12, size: 11 }),
      textMark(caption, { y: PLOT.height + 56, size: 10 }),
      textMark('Medians of all rounds, bars: quartiles. Both axes are logarithmic; 0 stands beside.', {
        y: PLOT.height + 71,
        size: 10,
      }),
    ],
    config: {
      text: { font: FONTS, fill: INK },
      axis: {
        ...{ labelFont: FONTS, titleFont: FONTS, labelColor: INK, titleColor: INK, domainColor: INK, tickColor: INK },
        ...{ labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal', labelOverlap: false },
      },
    },
  };
}

function countsOf({ series }: Plot): readonly number[] {
  const measured = series.flatMap(({ points }) => points.filter(({ isCut }) => isCut === undefined));
  return [...new Set(measured.map(({ policies }) => policies))].toSorted((a, b) => a - b);
}

function leastOf(counts: readonly number[]): number {
  return counts.find((count) => count > 0) ?? 1;
}

function tickText(tick: number): string {
  const text = formatValue(tick);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** `10k`: 5,000 and 10,000 would not stand side by side. */
function shortCount(count: number): string {
  return count >= 1_000 && count % 1_000 === 0 ? `${count / 1_000}k` : count.toLocaleString('en');
}

function dataOf(plot: Plot, low: number, high: number): NonNullable<Spec['data']> {
  const { series, engines } = plot;
  const looks = looksOf(engines);
  const least = leastOf(countsOf(plot));
  const toPixel = (value: number) => PLOT.height * (1 - Math.log(value / low) / Math.log(high / low));
  const besides = series.map((_, index) => (index - (series.length - 1) / 2) * BESIDE);
  const ends = series.map(({ points }) => toPixel(points.at(-1)?.median ?? high));
  const labels = spread(ends, LINE_HEIGHT, PLOT.height);
  const points = series.flatMap(({ engine, points: own }, index) =>
    own.map((point) => ({
      ...{ engine, ...looks.get(engine), x: placeOfCount(point.policies, least), y: point.median },
      ...{ low: Math.max(point.low, low), high: point.high, beside: besides[index], isCut: point.isCut === true },
      // 0 is not where the line comes from: it stands alone.
      part: point.policies === 0 ? `${engine} 0` : engine,
    })),
  );
  const named = series.map(({ engine, points: own, leaves = false }, index) => ({
    ...{ engine, ...looks.get(engine), text: leaves ? `${engine} \u2191` : engine },
    ...{
      x: placeOfCount(own.at(-1)?.policies ?? 0, least),
      beside: besides[index],
      end: ends[index],
      label: labels[index],
    },
    isDrawn: own.length > 0,
  }));
  return [
    { name: 'points', values: points },
    { name: 'measured', source: 'points', transform: [{ type: 'filter', expr: '!datum.isCut' }] },
    { name: 'named', values: named },
    { name: 'led', source: 'named', transform: [{ type: 'filter', expr: 'datum.isDrawn' }] },
  ];
}

type Marks = NonNullable<Spec['marks']>;

const AT = { scale: 'x', field: 'x', offset: { field: 'beside' } };

function seriesMarks(): Marks {
  return [
    {
      ...{ type: 'group', name: 'lines', from: { facet: { name: 'line', data: 'points', groupby: 'part' } } },
      marks: [
        {
          ...{ type: 'line', from: { data: 'line' } },
          encode: {
            enter: {
              ...{ x: AT, y: { scale: 'y', field: 'y' }, stroke: { field: 'colour' } },
              ...{ strokeWidth: { field: 'width' }, strokeDash: { field: 'dash' } },
            },
          },
        },
      ],
    },
    bar({ y: { scale: 'y', field: 'low' }, y2: { scale: 'y', field: 'high' }, x: AT }),
    ...['low', 'high'].map((field) => bar({ x: cap(-2.5), x2: cap(2.5), y: { scale: 'y', field } })),
    {
      ...{ type: 'symbol', name: 'marks', from: { data: 'measured' } },
      encode: {
        enter: {
          ...{ x: AT, y: { scale: 'y', field: 'y' }, shape: { field: 'mark' }, size: { value: 52 } },
          ...{ stroke: { field: 'colour' }, strokeWidth: { value: 1.5 } },
          fill: [{ test: 'datum.filled', field: 'colour' }, { value: 'white' }],
        },
      },
    },
  ];
}

function cap(offset: number) {
  return { scale: 'x', field: 'x', offset: { signal: `datum.beside + ${offset}` } };
}

function bar(enter: Readonly<Record<string, object>>): Marks[number] {
  return { type: 'rule', from: { data: 'measured' }, encode: { enter: { ...enter, stroke: { field: 'colour' } } } };
}

/** Behind each line's end its name, where there is room, and a thin line that leads there from its mark. */
function labelMarks(): Marks {
  const labels = PLOT.width + 26;
  return [
    {
      ...{ type: 'rule', from: { data: 'led' } },
      encode: {
        enter: {
          ...{ x: { scale: 'x', field: 'x', offset: { signal: 'datum.beside + 6' } }, y: { field: 'end' } },
          ...{
            x2: { value: labels - 3 },
            y2: { field: 'label' },
            stroke: { value: '#999999' },
            strokeWidth: { value: 0.75 },
          },
        },
      },
    },
    {
      ...{ type: 'text', name: 'names', from: { data: 'named' } },
      encode: {
        enter: {
          ...{ x: { value: labels }, y: { field: 'label' }, text: { field: 'text' }, fill: { field: 'colour' } },
          ...{ baseline: { value: 'middle' }, fontSize: { value: 12 } },
        },
      },
    },
  ];
}

/** Two strokes across the axis, and nothing of it between them. */
function breakMarks(place: number): Marks {
  const at = (offset: number) => ({ scale: 'x', value: place, offset });
  const stroke = (offset: number): Marks[number] => ({
    type: 'rule',
    encode: {
      enter: {
        ...{ x: at(offset - 2), x2: at(offset + 2), y: { value: PLOT.height + 5 }, y2: { value: PLOT.height - 5 } },
        stroke: { value: INK },
      },
    },
  });
  const gap: Marks[number] = {
    type: 'rule',
    encode: {
      enter: {
        ...{ x: at(-3), x2: at(3), y: { value: PLOT.height + 0.5 } },
        ...{ stroke: { value: 'white' }, strokeWidth: { value: 3 } },
      },
    },
  };
  return [gap, stroke(-3), stroke(3)];
}

interface TextLook {
  /** Of its left end; else that of the picture. */
  readonly x?: number;
  readonly y: number;
  readonly size: number;
  readonly bold?: boolean;
}

function textMark(text: string, { x = 10 - PADDING.left, y, size, bold = false }: TextLook): Marks[number] {
  return {
    type: 'text',
    encode: {
      enter: {
        ...{ x: { value: x }, y: { value: y }, text: { value: text }, fontSize: { value: size } },
        fontWeight: { value: bold ? 'bold' : 'normal' },
      },
    },
  };
}
