/** What comes of a run of the benchmark: for the terminal, as a folder, and out of a file again. */
export { checkDrawing } from './draw.ts';
export { formatTable } from './format-table.ts';
export {
  parseReports,
  ReportError,
  readReport,
  readReports,
  type SavedFigure,
  type SavedReport,
} from './saved-report.ts';
export { checkFolder, type RenderOptions, renderSaved, writeReport } from './write-report.ts';
