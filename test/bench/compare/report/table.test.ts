/** A report on the terminal. */
import { describe, expect, it } from 'vitest';
import { ENGINES, MEASURES } from '../../../../src/bench/compare/contract.ts';
import { formatTable, type SavedFigure, type SavedReport } from '../../../../src/bench/compare/report/index.ts';
import { madeUpReport } from '../../../support/bench/made-up-report.ts';

const report = madeUpReport();
const plain = (width: number, of: SavedReport = report) => formatTable(of, { colour: false, width });

function figure(more: Partial<SavedFigure>): SavedFigure {
  const place = {
    engine: 'bpf',
    topology: 'one-node',
    traffic: 'allowed',
    policies: 10,
    measure: 'connect-p50',
  } as const;
  return { ...place, samples: [50], median: 50, low: 50, high: 50, ...more };
}

function ratio(median: number, low: number, high: number) {
  return { ratio: { median, low, high, differs: low > 1 || high < 1 } };
}

const lineOf = (more: Partial<SavedFigure>) => {
  const text = plain(100, { ...report, figures: [figure(more)], goals: [], left: [] });
  return text.split('\n').find((line) => line.startsWith('bpf'));
};

describe('the table', () => {
  it('names the machine, the kernel, and every measure with its unit', () => {
    const text = plain(120);
    expect(text).toContain('Made-up Processor 3000, 4 cores, 24 GB, Linux 6.18.0-made-up');
    for (const measure of new Set(report.figures.map((one) => one.measure))) {
      const { text: title, unit } = MEASURES[measure];
      expect(text).toContain(`\n${title}, ${unit}; ${measure.endsWith('rate') ? 'higher' : 'lower'} is better\n`);
    }
  });

  it('has every cell', () => {
    const bare = report.figures.map(({ ratio: _, ...one }) => ({ ...one, low: one.median, high: one.median }));
    const text = plain(120, { ...report, figures: bare, goals: [], left: [] });
    const rows = text.split('\n').filter((line) => ENGINES.some((name) => line.startsWith(`${name} `)));
    expect(rows.flatMap((row) => row.match(/ [\d,.]+M?/g) ?? [])).toHaveLength(report.figures.length);
  });

  it.each([80, 90, 100, 110, 120, 200])('is no wider than a terminal of %i columns', (width) => {
    const [figures = ''] = plain(width).split('Medians of all rounds');
    // Titles are sentences, which a terminal wraps.
    const lines = figures.split('\n').filter((line) => !line.endsWith('is better'));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
  });

  it('tells a ratio with its spread, and calls none what the spread hides', () => {
    expect(lineOf(ratio(1.05, 1.03, 1.06))).toBe('bpf       50.0 1.05±.02');
    expect(lineOf(ratio(82, 80, 83))).toBe('bpf       50.0 82±2');
    expect(lineOf(ratio(1.2, 0.9, 1.3))).toBe('bpf       50.0 ≈1');
    expect(lineOf(ratio(1.003, 1.001, 1.004))).toBe('bpf       50.0 ≈1');
    expect(lineOf({ low: 45, high: 51 })).toBe('bpf       50.0 ±10%');
    expect(lineOf({})).toBe('bpf       50.0');
  });

  it('has colours only where they are asked for', () => {
    expect(plain(120)).not.toContain('\u001b');
    expect(formatTable(report, { colour: true, width: 120 })).toContain('\u001b');
  });

  it('says what was reached, what was missed, and what could not be measured', () => {
    const text = plain(120);
    for (const { what, reached, by } of report.goals) {
      expect(text).toMatch(
        new RegExp(
          `  ${reached ? 'reached' : 'missed '}  ${escaped(what)}\n +[\\d.]+, to reach [≤≥] [\\d.]+  ${escaped(by)}\n`,
        ),
      );
    }
    expect(text).toContain(`What could not be measured\n  ${report.left[0]}\n`);
  });
});

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
