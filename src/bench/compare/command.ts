/** `selvedge bench` -> the options of a run, the run, and its report on the terminal and in a folder. */
import { setPriority } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { writeOutput } from '../../commands/output.ts';
import { stopSignal } from '../../commands/stop-signal.ts';
import { terminal } from '../../commands/terminal.ts';
import { requireRoot } from '../../privilege.ts';
import { tellLeftovers } from '../leftovers.ts';
import { compare } from './compare.ts';
import { ENGINES, type EngineName } from './contract.ts';
import { formatGrid, hasStreams, planGrid, secondsOf } from './grid.ts';
import { openProgress } from './progress.ts';

export interface CompareCommandOptions {
  readonly output: 'table' | 'json';
  readonly quick: boolean;
  readonly report?: string;
  readonly engines?: readonly EngineName[];
  readonly policies?: readonly number[];
  readonly rounds?: number;
}

/** Of processes that others wait for: the highest is -20. */
const PRIORITY = -15;

/** Adds what a run can be told. */
export function addCompareOptions(command: Command): Command {
  return command
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .option('--quick', 'in two minutes: fewer policies, shorter runs', false)
    .option('--report <directory>', 'write an HTML page, plots and the figures there')
    .option('--engines <names>', `only these, of ${ENGINES.join(',')}`, engineNames)
    .option('--policies <numbers>', 'only with so many policies, as in 0,10,1000', policyCounts)
    .option('--rounds <number>', 'how often each engine has its turn (default: 6, or 5 with --quick)', roundCount);
}

export async function runCompare(options: CompareCommandOptions): Promise<void> {
  requireRoot('selvedge bench');
  const { output, quick, report: directory } = options;
  const grid = planGrid(options);
  using stop = stopSignal();
  // Only here: other commands need neither.
  const [{ checkStreams, openLoads }, { checkDrawing, checkFolder, formatTable, writeReport }] = await Promise.all([
    import('./loads/open-loads.ts'),
    import('./report/index.ts'),
  ]);
  // What would be missed in the end is told before the beginning.
  if (directory !== undefined) {
    checkDrawing();
    checkFolder(directory);
  }
  if (hasStreams(grid)) await checkStreams();
  await using loads = await openLoads();
  process.stderr.write(formatGrid(grid));
  tellLeftovers();
  comeFirst();
  const report = await (async () => {
    using progress = openProgress(secondsOf(grid));
    return await compare({ grid, quick, loads, signal: stop.signal, onProgress: progress.tell });
  })();
  if (directory !== undefined) await writeReport(directory, report);
  await writeOutput([output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : formatTable(report, terminal())]);
}

/** Other work of the machine waits for agents and for us; loads have a priority of their own. */
function comeFirst(): void {
  try {
    setPriority(PRIORITY);
  } catch (error) {
    process.stderr.write(`selvedge: bench: without a priority of its own: ${(error as Error).message}\n`);
  }
}

function engineNames(text: string): EngineName[] {
  return text.split(',').map((name) => {
    const known = ENGINES.find((engine) => engine === name);
    if (known === undefined) throw new InvalidArgumentError(`There is no engine ${name}.`);
    return known;
  });
}

const MOST_POLICIES = 10_000;

function policyCounts(text: string): number[] {
  return text.split(',').map((part) => numberIn(part, 0, MOST_POLICIES));
}

function roundCount(text: string): number {
  return numberIn(text, 1, 1_000);
}

function numberIn(text: string, least: number, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new InvalidArgumentError(`${text} is no number from ${least} to ${most}.`);
}
