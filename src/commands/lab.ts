/** `selvedge lab`: a cluster of manifests as network namespaces on this machine, to try policies in by real connections. */
import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { firstValueFrom } from 'rxjs';
import { Agents } from '../lab/agents.ts';
import { type ClusterView, ClusterViews, warningText } from '../lab/cluster-view.ts';
import { type Enforcer, NOBODY } from '../lab/enforcer.ts';
import { formatMatrix } from '../lab/format-matrix.ts';
import type { Lab } from '../lab/lab.ts';
import { LabError } from '../lab/lab-error.ts';
import { deadLabs, knownLabs, removeLab } from '../lab/lab-record.ts';
import { runLiveLab } from '../lab/live-lab.ts';
import { type Matrix, probeMatrix } from '../lab/matrix.ts';
import type { LabId } from '../lab/names.ts';
import type { Backend } from '../lab/node-plan.ts';
import { answerQueries, checkQueries } from '../lab/query-run.ts';
import { endText, parseQueries, type Query } from '../model/query.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { backendOption } from './backend-option.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly manifests?: string[];
  readonly backend: Backend;
  readonly dataplane: 'bpf' | 'none';
  readonly agent: boolean;
  readonly queries?: string;
  readonly output: 'text' | 'jsonl';
}

export function labCommand(): Command {
  const command = new Command('lab')
    .description(
      'Play the cluster of some manifests on this machine: nodes and pods as network namespaces, real connections.',
    )
    .option('--manifests <path...>', 'folders or files of manifests, followed as they change')
    .addOption(backendOption())
    .addOption(new Option('--dataplane <name>', 'what enforces the policies').choices(['bpf', 'none']).default('bpf'))
    .option('--no-agent', 'only the network: everything passes (as --dataplane none)')
    .option('--queries <file>', 'probe what the lines of this file ask, print the answers and end')
    .addOption(
      new Option('-o, --output <format>', 'of the answers to queries').choices(['text', 'jsonl']).default('text'),
    )
    .addHelpText('after', HELP)
    .action((options: Options) => run(command, options));
  command
    .command('down')
    .description('Remove what labs that crashed have left behind.')
    .argument('[id...]', 'labs to end also when they run')
    .action(down);
  return command;
}

const HELP = `
Without --queries the lab stays until Ctrl-C and prints who reaches whom, again whenever a manifest changes.
A query is a line {"from":"NS/POD or IP","to":"NS/POD or IP","port":80,"protocol":"TCP","family":"IPv4"}; protocol is TCP
and family one that both ends have unless given. Enter a pod with: ip netns exec slv-ID-NODE_NAMESPACE_POD sh`;

async function run(command: Command, options: Options): Promise<void> {
  const { manifests } = options;
  if (manifests === undefined)
    command.error("error: required option '--manifests <path...>' not specified", { exitCode: 2 });
  const enforcer = (lab: Lab): Enforcer => {
    if (!options.agent || options.dataplane === 'none') return NOBODY;
    return new Agents({ manifests, pinDir: lab.mountBpffs() });
  };
  if (options.queries === undefined) await follow(manifests, options.backend, enforcer);
  else await answer(options.queries, manifests, options, enforcer);
}

async function follow(manifests: readonly string[], backend: Backend, enforcer: (lab: Lab) => Enforcer): Promise<void> {
  using stop = stopSignal();
  let before: Matrix | undefined;
  const told = new Set<string>();
  await runLiveLab(
    {
      source: directorySource(manifests),
      backend,
      enforcer,
      onView: (view) => {
        tell(view, told);
        if (!view.synced) complain('a manifest cannot be read: the lab waits until it can');
      },
      onSettled: async (lab) => {
        const matrix = await probeMatrix(lab);
        if (before === undefined) process.stderr.write(`lab ${lab.id} is up; Ctrl-C ends it\n`);
        process.stdout.write(`\n${clock()}\n${formatMatrix(matrix, { before, ...terminal() })}\n`);
        before = matrix;
      },
      onProblem: ({ message }) => complain(message),
    },
    stop.signal,
  );
}

async function answer(
  file: string,
  manifests: readonly string[],
  { backend, output }: Options,
  enforcer: (lab: Lab) => Enforcer,
): Promise<void> {
  using stop = stopSignal();
  const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8');
  const queries = parseQueries(text);
  const lines = text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [{ line, number: index + 1 }]));
  const view = new ClusterViews().next(await firstValueFrom(directorySource(manifests)));
  tell(view, new Set());
  if (!view.synced) throw new LabError('a manifest cannot be read: see above');
  checkQueries(queries, view.cluster, (index) => `line ${lines[index]?.number}`);
  const outcomes = await answerQueries({ view, queries, backend, enforcer }, stop.signal);
  for (const [index, outcome] of outcomes.entries()) {
    const query = queries[index] as Query;
    const said = outcome.verdict === 'error' ? { error: outcome.reason } : { verdict: outcome.verdict };
    if (outcome.verdict === 'error') {
      complain(`line ${lines[index]?.number}: ${outcome.reason}`);
      process.exitCode = 1;
    }
    const line =
      output === 'jsonl' ? JSON.stringify({ ...JSON.parse(lines[index]?.line ?? '{}'), ...said }) : asText(query, said);
    process.stdout.write(`${line}\n`);
  }
}

function asText({ from, to, port, protocol }: Query, said: { error: string } | { verdict: string }): string {
  const outcome = 'error' in said ? `error: ${said.error}` : said.verdict;
  return `${endText(from)} → ${endText(to)} ${port}/${protocol.toLowerCase()}: ${outcome}`;
}

function down(ids: readonly string[]): void {
  const known = knownLabs();
  for (const id of ids)
    if (!known.includes(id as LabId))
      throw new LabError(`there is no lab ${id}; there are: ${known.join(', ') || 'none'}`);
  const labs = new Set([...deadLabs(), ...(ids as readonly LabId[])]);
  for (const lab of labs) removeLab(lab);
  const running = known.filter((lab) => !labs.has(lab));
  process.stdout.write(labs.size === 0 ? 'no crashed lab left anything behind\n' : `removed ${[...labs].join(', ')}\n`);
  if (running.length > 0) process.stdout.write(`still running: ${running.join(', ')}\n`);
}

/** Warnings that were not told before. */
function tell({ warnings }: ClusterView, told: Set<string>): void {
  const texts = warnings.map(warningText);
  for (const text of texts) if (!told.has(text)) complain(text);
  told.clear();
  for (const text of texts) told.add(text);
}

function complain(text: string): void {
  process.stderr.write(`selvedge lab: ${text}\n`);
}

function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}
