/** Reports in files, and out of them again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseReports, ReportError, readReport } from '../../../../src/bench/compare/report/index.ts';
import { joinReports } from '../../../../src/bench/compare/report/join-reports.ts';
import { madeUpReport } from '../../../support/bench/made-up-report.ts';

const report = madeUpReport({ quick: true });
const folder = mkdtempSync(join(tmpdir(), 'selvedge-report-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A report in which something is another, or not there. */
function altered(path: string, value: unknown): string {
  const copy = JSON.parse(JSON.stringify(report));
  const names = path.split(/[.[\]]+/).filter((name) => name !== '');
  const last = names.pop() as string;
  names.reduce((at, name) => at[name], copy)[last] = value;
  return JSON.stringify(copy);
}

describe('a saved report', () => {
  it('is the same when it is read again', () => {
    const file = join(folder, 'report.json');
    writeFileSync(file, JSON.stringify(report, null, 2));
    expect(readReport(file)).toEqual(report);
  });

  it('is found in the logs of jobs, as many as there are', () => {
    const line = JSON.stringify(report);
    expect(parseReports(`waiting for server\n${line}\nround 1\n${line}\n`, 'logs')).toEqual([report, report]);
    expect(() => parseReports('nothing\nof it\n', 'logs')).toThrow('logs holds no report of selvedge bench');
  });

  it('that is not there, or no JSON, is told by its name', () => {
    expect(() => readReport(join(folder, 'absent.json'))).toThrow(/absent\.json cannot be read/);
    expect(() => parseReports('{"version":1,', 'half.json')).toThrow(/half\.json is no JSON/);
  });

  it.each([
    ['version', 2],
    ['machine.kernel', undefined],
    ['figures', []],
    ['figures[3].median', 'fast'],
    ['figures[1].measure', 'beauty'],
    ['figures[2].engine', '\u001b[31mred'],
    ['goals[0].reached', 'yes'],
  ])('in which %s is %j is refused by the name of the field', (field, value) => {
    const read = () => parseReports(altered(field, value), 'some.json');
    expect(read).toThrow(ReportError);
    expect(read).toThrow(`some.json is no report of selvedge bench: ${field}: `);
  });

  it('whose quartiles are not around the median is refused', () => {
    const read = () => parseReports(altered('figures[5].low', 1e9), 'some.json');
    expect(read).toThrow('some.json is no report of selvedge bench: figures[5]: ');
  });

  it('cannot steer a terminal', () => {
    const text = altered('left', ['a\u001b[2Jb']);
    expect(parseReports(text, 'some.json')[0]?.left).toEqual(['a [2Jb']);
  });
});

describe('reports side by side', () => {
  const other = {
    ...report,
    machine: { ...report.machine, kernel: '5.15.0' },
    figures: report.figures.map((figure) => ({ ...figure, engine: `other ${figure.engine}` })),
  };

  it('have the figures of all, and say which machine is another', () => {
    const joined = joinReports([
      { source: 'a.json', report },
      { source: 'b.json', report: other },
    ]);
    expect(joined.figures).toEqual([...report.figures, ...other.figures]);
    expect(joined.left.at(-1)).toMatch(/^b\.json was measured on another machine: .*5\.15\.0$/);
  });

  it('that have measured the same are refused', () => {
    const twice = [
      { source: 'a.json', report },
      { source: 'b.json', report },
    ];
    expect(() => joinReports(twice)).toThrow(/^a\.json and b\.json both have a figure of /);
  });
});
