/** Reports of several runs -> one, so that engines of several clusters stand side by side. */
import { ReportError, type SavedFigure, type SavedReport } from './saved-report.ts';
import { machineText } from './words.ts';

export interface Source {
  /** For messages. */
  readonly source: string;
  readonly report: SavedReport;
}

/** Machine, time and goals are the first one's; what differs is told. @throws {ReportError} two have measured the same */
export function joinReports(sources: readonly Source[]): SavedReport {
  const [first, ...others] = sources;
  if (first === undefined) throw new ReportError('there is no report to draw');
  const found = new Map<string, string>();
  for (const { source, report } of sources) {
    for (const figure of report.figures) {
      const cell = cellOf(figure);
      const other = found.get(cell);
      if (other === source) throw new ReportError(`${source} has two figures of ${cell}`);
      if (other !== undefined) throw new ReportError(`${other} and ${source} both have a figure of ${cell}`);
      found.set(cell, source);
    }
  }
  const machine = machineText(first.report);
  const elsewhere = others.flatMap(({ source, report }) =>
    machineText(report) === machine ? [] : [`${source} was measured on another machine: ${machineText(report)}`],
  );
  const nodes = [...new Set(sources.flatMap(({ report }) => report.nodes ?? []))];
  return {
    ...first.report,
    seconds: sources.reduce((sum, { report }) => sum + report.seconds, 0),
    figures: sources.flatMap(({ report }) => report.figures),
    left: [...sources.flatMap(({ report }) => report.left), ...elsewhere],
    ...(nodes.length > 0 && { nodes }),
  };
}

function cellOf({ measure, engine, topology, traffic, policies }: SavedFigure): string {
  return `${measure} (${engine}, ${topology}, ${traffic}, ${policies} policies)`;
}
