/** `selvedge matrix`: who can reach whom on which port by the policies in a folder of manifests, or what another folder would change. */
import { Command, Option } from 'commander';
import pc from 'picocolors';
import { computeMatrix, endOfRow } from '../observe/compute-matrix.ts';
import { deciderText } from '../observe/explanation.ts';
import { formatMatrix } from '../observe/format-matrix.ts';
import {
  columnName,
  compareMatrices,
  entriesOf,
  type MatrixChange,
  type MatrixComparison,
  type MatrixEntry,
} from '../observe/matrix.ts';
import { type Judgement, Reachability } from '../observe/reachability.ts';
import { readCluster } from './read-cluster.ts';

interface Options {
  readonly manifests: string[];
  readonly against?: string[];
  readonly output: 'table' | 'json' | 'csv';
}

export function matrixCommand(): Command {
  return new Command('matrix')
    .description('Compute who can reach whom on which port by the policies in manifests, or what others would change.')
    .requiredOption('--manifests <path...>', 'folders or files of manifests')
    .option('--against <path...>', 'what the cluster would become: print only what would change, denials first')
    .addOption(
      new Option('-o, --output <format>', 'how to print it').choices(['table', 'json', 'csv']).default('table'),
    )
    .exitOverride()
    .showHelpAfterError('(selvedge matrix --help)')
    .action(run);
}

async function run({ manifests, against, output }: Options): Promise<void> {
  const before = new Reachability(await readCluster(manifests));
  const matrix = computeMatrix(before);
  if (against === undefined) {
    if (output === 'table') print(formatMatrix(matrix, terminal()));
    else printEntries([...entriesOf(matrix)], output);
    return;
  }
  const after = new Reachability(await readCluster(against));
  const comparison = compareMatrices(matrix, computeMatrix(after));
  for (const [names, where] of [
    [comparison.onlyBefore, manifests],
    [comparison.onlyAfter, against],
  ] as const) {
    if (names.length > 0)
      process.stderr.write(`note: only in ${where.join(', ')}, not compared: ${names.join(', ')}\n`);
  }
  if (output === 'table') print(comparisonText(comparison, before, after));
  else printEntries(comparison.changes, output);
}

function comparisonText({ changes, compared }: MatrixComparison, before: Reachability, after: Reachability): string {
  if (changes.length === 0) return `nothing would change: all ${compared} verdicts stay as they are`;
  const { red, green } = pc;
  const lists = [
    { verdict: 'deny', title: red('would be denied, allowed now') },
    { verdict: 'allow', title: green('would be allowed, denied now') },
  ].flatMap(({ verdict, title }) => {
    const changed = merged(changes.filter((change) => change.after === verdict));
    return changed.length === 0
      ? []
      : [`${title}: ${changed.length}`, ...changed.map((one) => line(one, before, after))];
  });
  return [...lists, `of ${compared} verdicts, one for each family, ${changes.length} would change`].join('\n');
}

interface Merged extends MatrixChange {
  readonly families: readonly string[];
}

/** A change in both families is told once. */
function merged(changes: readonly MatrixChange[]): Merged[] {
  const groups = Map.groupBy(
    changes,
    ({ from, ...column }) => `${from} ${column.to} ${column.port}/${column.protocol}`,
  );
  return [...groups.values()].map((group) => ({
    ...(group[0] as MatrixChange),
    families: group.map(({ family }) => family),
  }));
}

function line(change: Merged, before: Reachability, after: Reachability): string {
  const { from, to, port, protocol, family, families } = change;
  const query = { from: endOfRow(from, family), to: endOfRow(to, family), port, protocol, family };
  const [old, now] = [before.ask(query), after.ask(query)];
  const denied = now.allowed ? old : now;
  // The direction that denies, before or after, is the one that changed.
  const why = (['egress', 'ingress'] as const)
    .filter((direction) => denied[direction]?.allowed === false)
    .map((direction) => `${direction}: ${deciderText(now[direction] as Judgement)}`);
  const only = families.length === 1 ? ` over ${family}` : '';
  return `  ${from} → ${columnName({ pod: to, port, protocol })}${only} (${why.join('; ')})`;
}

function printEntries(entries: readonly (MatrixEntry | MatrixChange)[], output: 'json' | 'csv'): void {
  if (output === 'json') {
    print(entries.length === 0 ? '[]' : `[\n${entries.map((entry) => `  ${JSON.stringify(entry)}`).join(',\n')}\n]`);
    return;
  }
  const first = entries[0];
  // No name, port or verdict holds a comma or a quote.
  print(
    [
      ...(first === undefined ? [] : [Object.keys(first).join()]),
      ...entries.map((entry) => Object.values(entry).join()),
    ].join('\n'),
  );
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function terminal(): { colour: boolean; width: number } {
  return { colour: pc.isColorSupported && process.stdout.isTTY === true, width: process.stdout.columns ?? 120 };
}
