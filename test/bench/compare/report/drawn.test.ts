/** A report as a folder: plots, page, Markdown. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINES } from '../../../../src/bench/compare/contract.ts';
import { readReport, writeReport } from '../../../../src/bench/compare/report/index.ts';
import { type Plot, plotsOf, rangeOf, spread } from '../../../../src/bench/compare/report/plot-data.ts';
import { SIZE } from '../../../../src/bench/compare/report/plot-spec.ts';
import { madeUpReport } from '../../../support/bench/made-up-report.ts';
import { decodePng } from '../../../support/bench/png.ts';

const report = madeUpReport();
const PLOTS = plotsOf(report).map(({ name }) => name);

describe('a report in a folder', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'selvedge-report-')), 'made', 'here');
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');

  beforeAll(() => writeReport(folder, report));
  afterAll(() => rmSync(join(folder, '../..'), { recursive: true, force: true }));

  it('is a page, Markdown, the figures, and each plot in two forms', () => {
    expect(PLOTS).toEqual(expect.arrayContaining(['connect-one-node', 'rate-two-nodes', 'latency-one-node']));
    const plots = PLOTS.flatMap((name) => [`${name}.svg`, `${name}.png`]);
    expect(readdirSync(folder).toSorted()).toEqual([...plots, 'index.html', 'report.json', 'report.md'].toSorted());
    expect(readReport(join(folder, 'report.json'))).toEqual(report);
  });

  it.each(PLOTS)('has in %s a line, a mark for each point and a name for every engine, and the machine', (name) => {
    const svg = read(`${name}.svg`);
    const { series } = plotsOf(report).find((plot) => plot.name === name) as Plot;
    const texts = [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text?.replace(' \u2191', ''));
    for (const engine of ENGINES) expect(texts).toContain(engine);
    expect(texts.join(' ')).toContain('Made-up Processor 3000, 4 cores, 24 GB, Linux 6.18.0-made-up');
    // 0 policies stand beside their line.
    expect(partsOf(svg, 'mark-line')).toBe(2 * series.length);
    const [, marks = ''] = /<g class="mark-symbol[^>]*>(.*?)<\/g>/.exec(svg) ?? [];
    const measured = series.flatMap(({ points }) => points.filter(({ isCut }) => isCut === undefined));
    expect(marks.match(/<path/g)).toHaveLength(measured.length);
  });

  it.each(PLOTS)('has %s as pixels, of which some are of each family', (name) => {
    const { width, height, pixels } = decodePng(readFileSync(join(folder, `${name}.png`)));
    expect([width, height]).toEqual([2 * SIZE.width, 2 * SIZE.height]);
    const found = new Map<string, number>();
    for (let at = 0; at < pixels.length; at += 4) {
      const colour = Buffer.from(pixels.subarray(at, at + 3)).toString('hex');
      found.set(colour, (found.get(colour) ?? 0) + 1);
    }
    expect(found.get('ffffff')).toBeGreaterThan(0.8 * width * height);
    for (const colour of ['444444', '0b5cad', 'b35900', 'b00020'])
      expect(found.get(colour), colour).toBeGreaterThan(100);
    // Text was drawn, as the font is there.
    expect(found.get('222222')).toBeGreaterThan(1_000);
  });

  it('has a page that asks for nothing, holds every plot and figure, and takes no text for markup', () => {
    const page = read('index.html');
    expect(page).not.toMatch(
      /<(script|link|img|iframe|object|embed|base)\b|\b(src|srcset|href|action)=|url\(|@import/i,
    );
    expect(page.match(/<svg /g)).toHaveLength(PLOTS.length);
    expect(page.match(/<td title=/g)).toHaveLength(report.figures.length);
    for (const { what } of report.goals) expect(page).toContain(what);
    expect(page).toContain('&lt;made up&gt; &amp; nothing else');
    expect(page).not.toContain('<made up>');
  });

  it('has Markdown with all plots, goals and engines', () => {
    const text = read('report.md');
    for (const name of PLOTS) expect(text).toContain(`](${name}.svg)`);
    for (const { what } of report.goals) expect(text).toContain(`| ${what} |`);
    for (const engine of ENGINES) expect(text).toContain(`\n| ${engine} |`);
    const rows = text.split('\n').filter((line) => line.startsWith('| bpf |'));
    expect(rows.join('')).toMatch(/\| [\d.,]+ \(1\.\d\d(±\.\d\d)?\) \|/);
  });
});

describe('a plot', () => {
  it('is not drawn of one number of policies', () => {
    const figures = report.figures.filter(({ policies }) => policies === 10);
    expect(plotsOf({ ...report, figures })).toEqual([]);
  });

  it('of ratios ends a line where it leaves the plot, and says of what was measured nothing else', () => {
    const plot = plotsOf(report).find(({ name }) => name === 'connect-ratio-one-node') as Plot;
    const lines = new Map(plot.series.map((one) => [one.engine, one]));
    expect(lines.get('none')?.points.every(({ median }) => median === 1)).toBe(true);
    expect(lines.get('bpf')).toMatchObject({ points: { length: 7 } });
    expect(lines.get('bpf')).not.toHaveProperty('leaves');
    const { points = [], leaves } = lines.get('iptables-nft') ?? {};
    expect(leaves).toBe(true);
    expect(points.map(({ policies }) => policies)).toEqual([0, 1, 10, expect.closeTo(40, -1.5)]);
    expect(points.at(-1)).toMatchObject({ median: 2, isCut: true });
    // Nobody took turns with `none`: there is no ratio.
    const alone = report.figures.map(({ ratio: _, ...one }) => one);
    expect(plotsOf({ ...report, figures: alone }).map(({ name }) => name)).not.toContain('connect-ratio-one-node');
  });

  it('draws engines of other people, and of a quick run', () => {
    const figures = report.figures.map((figure) => ({ ...figure, engine: figure.engine === 'bpf' ? 'bpf' : 'theirs' }));
    expect(plotsOf({ ...report, figures })[0]?.engines).toEqual(['bpf', 'theirs']);
    expect(plotsOf(madeUpReport({ quick: true })).length).toBeGreaterThan(0);
  });

  it.each([
    [20, 26],
    [58, 9_600],
    [0.9, 1.1],
    [3, 3],
  ])('has an axis from %d to %d with some ticks, all within', (low, high) => {
    const point = { policies: 1, median: low, low, high };
    const range = rangeOf([{ engine: 'bpf', points: [point, { ...point, policies: 10, median: high }] }]);
    expect(range.low).toBeLessThan(low);
    expect(range.high).toBeGreaterThan(high);
    expect(range.ticks.length).toBeGreaterThanOrEqual(3);
    expect(range.ticks.length).toBeLessThanOrEqual(10);
    expect(range.ticks.every((tick) => tick >= range.low && tick <= range.high)).toBe(true);
  });

  it('names its lines without one name over the other, as near to their ends as can be', () => {
    expect(spread([50, 200], 15, 300)).toEqual([50, 200]);
    expect(spread([100, 100, 200], 15, 300)).toEqual([92.5, 107.5, 200]);
    expect(spread([110, 100], 15, 300)).toEqual([112.5, 97.5]);
    expect(spread([2, 4], 15, 300)).toEqual([0, 15]);
    expect(spread([299, 300, 300], 15, 300)).toEqual([270, 285, 300]);
    const many = spread([120, 60, 61, 62, 63, 75, 118], 15, 300).toSorted((a, b) => a - b);
    for (const [index, place] of many.entries())
      if (index > 0) expect(place - (many[index - 1] ?? 0)).toBeGreaterThanOrEqual(15);
  });
});

function partsOf(svg: string, mark: string): number {
  return svg.match(new RegExp(`<g class="${mark}[^>]*>`, 'g'))?.length ?? 0;
}
