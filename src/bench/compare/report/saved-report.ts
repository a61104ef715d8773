/** A report in a file -> what is drawn and told; and the other way round. Its engines may be those of other people's clusters. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type BenchReport, type Figure, MEASURES, type Measure } from '../contract.ts';

/** In a report of a cluster: whatever its user calls what enforces there. */
export interface SavedFigure extends Omit<Figure, 'engine'> {
  readonly engine: string;
}

/** What every {@link BenchReport} is, and what comes out of a cluster. */
export interface SavedReport extends Omit<BenchReport, 'figures'> {
  readonly figures: readonly SavedFigure[];
  /** The nodes between whose pods it was measured; absent when it was a lab. */
  readonly nodes?: readonly string[];
}

/** A file that holds no report, or none that can be read or drawn; the message names the file and the field. */
export class ReportError extends Error {
  readonly code = 'BENCH_REPORT';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ReportError';
  }
}

/** Nothing in a file may steer a terminal. */
const text = z.string().transform((value) => value.replace(/\p{Cc}/gu, ' '));
const engine = z.string().regex(/^[\w.()+ -]{1,40}$/, 'is no name of 1 to 40 letters, digits, blanks and .()+-_');
const count = z.int().nonnegative();
const spread = { median: z.number(), low: z.number(), high: z.number() };
const names = Object.keys(MEASURES) as [Measure, ...Measure[]];

const figure = z
  .object({
    engine,
    topology: z.enum(['one-node', 'two-nodes']),
    traffic: z.enum(['allowed', 'denied', 'unselected']),
    policies: count,
    measure: z.enum(names),
    samples: z.array(z.number()).min(1),
    ...spread,
    ratio: z.object({ ...spread, differs: z.boolean() }).exactOptional(),
  })
  .refine(({ low, median, high }) => low <= median && median <= high, 'low, median and high are not in this order');

const schema = z.object({
  version: z.literal(1),
  machine: z.object({
    processor: text,
    cores: count,
    memory: count,
    kernel: text,
    load: z.tuple([z.number(), z.number()]),
  }),
  started: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  rounds: count,
  quick: z.boolean(),
  figures: z.array(figure).min(1),
  goals: z.array(
    z.object({
      what: text,
      value: z.number(),
      limit: z.number(),
      atLeast: z.boolean(),
      reached: z.boolean(),
      by: text,
    }),
  ),
  left: z.array(text),
  nodes: z.array(text).exactOptional(),
});

/**
 * One report, or those in the logs of jobs: a line each, among others.
 * @param source for messages
 * @throws {ReportError}
 */
export function parseReports(text: string, source: string): readonly SavedReport[] {
  const lines = text.split('\n').filter((line) => line.startsWith(REPORT_LINE));
  if (lines.length < 2 && text.trimStart().startsWith('{')) return [parseReport(text, source)];
  if (lines.length === 0) throw new ReportError(`${source} holds no report of selvedge bench`);
  return lines.map((line) => parseReport(line, source));
}

/** As `JSON.stringify` begins it. */
const REPORT_LINE = '{"version":';

/** @throws {ReportError} */
export function parseReport(json: string, source: string): SavedReport {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new ReportError(`${source} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const place = issue === undefined || issue.path.length === 0 ? '' : `: ${pathText(issue.path)}`;
  throw new ReportError(`${source} is no report of selvedge bench${place}: ${issue?.message}`, { cause: error });
}

/** @param file `-` is standard input. @throws {ReportError} */
export function readReports(file: string): readonly SavedReport[] {
  const source = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new ReportError(`${source} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parseReports(text, source);
}

/** Of a file that holds one. @throws {ReportError} */
export function readReport(file: string): SavedReport {
  const [report, ...others] = readReports(file);
  if (report === undefined || others.length > 0) throw new ReportError(`${file} holds ${others.length + 1} reports`);
  return report;
}

/** `figures[3].ratio.low` */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`))
    .join('');
}
