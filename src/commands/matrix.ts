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
import { judgeOwnNodeOption } from './options.ts';
import { writeOutput } from './output.ts';
import { readCluster, requirePaths } from './read-cluster.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly manifests: string[];
  readonly against?: string[];
  readonly judgeOwnNode: boolean;
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
    .addOption(judgeOwnNodeOption())
    .action(run);
}

async function run({ manifests, against, output, judgeOwnNode: judgesOwnNode }: Options): Promise<void> {
  requirePaths('--manifests', manifests);
  requirePaths('--against', against ?? []);
  const before = new Reachability(await readCluster(manifests), { judgesOwnNode });
  const matrix = computeMatrix(before);
  if (against === undefined) {
    await writeOutput(
      output === 'table' ? [`${formatMatrix(matrix, terminal())}\n`] : listed([...entriesOf(matrix)], output),
    );
    return;
  }
  const after = new Reachability(await readCluster(against), { judgesOwnNode });
  const comparison = compareMatrices(matrix, computeMatrix(after));
  for (const [names, where] of [
    [comparison.onlyBefore, manifests],
    [comparison.onlyAfter, against],
  ] as const) {
    if (names.length > 0)
      process.stderr.write(`note: only in ${where.join(', ')}, not compared: ${names.join(', ')}\n`);
  }
  await writeOutput(
    output === 'table' ? [`${comparisonText(comparison, before, after)}\n`] : listed(comparison.changes, output),
  );
}

function comparisonText({ changes, compared }: MatrixComparison, before: Reachability, after: Reachability): string {
  if (changes.length === 0) return `nothing would change: all ${compared} verdicts stay as they are`;
  const { red, green } = pc.createColors(terminal().colour);
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

function* listed(entries: readonly (MatrixEntry | MatrixChange)[], output: 'json' | 'csv'): Generator<string> {
  if (output === 'json') {
    for (const [index, entry] of entries.entries()) yield `${index === 0 ? '[' : ','}\n  ${JSON.stringify(entry)}`;
    yield entries.length === 0 ? '[]\n' : '\n]\n';
    return;
  }
  // No name, port or verdict holds a comma or a quote.
  if (entries[0] !== undefined) yield `${Object.keys(entries[0]).join()}\n`;
  for (const entry of entries) yield `${Object.values(entry).join()}\n`;
}
