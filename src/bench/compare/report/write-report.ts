/** A report -> a folder: report.json, each plot as SVG and PNG, index.html that stands alone, report.md for documentation. */
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { writeOutput } from '../../../commands/output.ts';
import { terminal } from '../../../commands/terminal.ts';
import { openPainter } from './draw.ts';
import { formatTable } from './format-table.ts';
import { joinReports } from './join-reports.ts';
import { markdownOf } from './markdown.ts';
import { type DrawnPlot, pageOf } from './page.ts';
import { plotsOf } from './plot-data.ts';
import { plotSpec } from './plot-spec.ts';
import { ReportError, readReports, type SavedReport } from './saved-report.ts';
import { captionOf } from './words.ts';

/** Pixels of a PNG for each of the SVG's: legible when printed, or on a screen with small ones. */
const ZOOM = 2;

/**
 * Whatever the folder holds beside is left alone.
 * @throws {ReportError} the folder cannot be written, or nothing draws here; the figures are written before
 */
export async function writeReport(directory: string, report: SavedReport): Promise<void> {
  const write = (name: string, content: string | Uint8Array) => {
    try {
      writeFileSync(join(directory, name), content);
    } catch (error) {
      throw new ReportError(`the report cannot be written: ${(error as Error).message}`, { cause: error });
    }
  };
  makeFolder(directory);
  write('report.json', `${JSON.stringify(report, null, 2)}\n`);
  const painter = await openPainter();
  const plots = plotsOf(report);
  const drawn: DrawnPlot[] = [];
  for (const plot of plots) {
    const svg = await painter.svg(plotSpec(plot, captionOf(report)));
    write(`${plot.name}.svg`, svg);
    write(`${plot.name}.png`, painter.png(svg, ZOOM));
    drawn.push({ title: `${plot.title}; ${plot.subtitle}`, svg });
  }
  write('report.md', markdownOf(report, plots));
  write('index.html', pageOf(report, drawn));
}

/** Before a long run whose report shall be written. @throws {ReportError} where it could not be */
export function checkFolder(directory: string): void {
  makeFolder(directory);
  try {
    rmdirSync(mkdtempSync(join(directory, '.selvedge-bench-')));
  } catch (error) {
    throw new ReportError(`the report's folder cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function makeFolder(directory: string): void {
  try {
    makeWithParents(resolve(directory));
  } catch (error) {
    throw new ReportError(`the report's folder cannot be made: ${(error as Error).message}`, { cause: error });
  }
}

/** Node's own with `recursive` never ends where a folder that is there takes no other, in /proc say. */
function makeWithParents(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (!existsSync(dirname(path))) makeWithParents(dirname(path));
  mkdirSync(path);
}

export interface RenderOptions {
  readonly output: 'table' | 'json';
  /** Where to write page and plots; nowhere when absent. */
  readonly report?: string;
}

/**
 * `selvedge bench report FILE...`: what was saved by -o json, by --report or in a job's log, once more; several are put side by side.
 * @throws {ReportError}
 */
export async function renderSaved(files: readonly string[], options: RenderOptions): Promise<void> {
  const report = joinReports(files.flatMap((source) => readReports(source).map((report) => ({ source, report }))));
  if (options.report !== undefined) await writeReport(options.report, report);
  await writeOutput([
    options.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : formatTable(report, terminal()),
  ]);
}
