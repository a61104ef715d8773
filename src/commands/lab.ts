/** `selvedge lab`: a cluster of manifests as network namespaces on this machine, to try policies in by real connections. */
import { Command, Option } from 'commander';
import { firstValueFrom } from 'rxjs';
import type { DataplaneChoice } from '../dataplane/select.ts';
import { Agents } from '../lab/agents/agents.ts';
import { type Enforcer, NOBODY } from '../lab/agents/enforcer.ts';
import { type ClusterView, ClusterViews, warningText } from '../lab/cluster-view.ts';
import type { Lab } from '../lab/lab.ts';
import { LabError } from '../lab/lab-error.ts';
import { deadLabs, knownLabs, removeLab } from '../lab/lab-record.ts';
import { runLiveLab } from '../lab/live-lab.ts';
import type { LabId } from '../lab/network/names.ts';
import type { Backend } from '../lab/network/node-plan.ts';
import type { ProbeOutcome } from '../lab/probing/probe-attempt.ts';
import { probeMatrix } from '../lab/probing/probe-matrix.ts';
import { answerQueries } from '../lab/probing/query-run.ts';
import { answerDifferences, matrixDifferences } from '../lab/probing/self-check.ts';
import { endText, type Query, QueryError } from '../model/query.ts';
import { formatMatrix } from '../observe/format-matrix.ts';
import type { Matrix } from '../observe/matrix.ts';
import { type Asked, parseQueryLines } from '../observe/query-lines.ts';
import { requireRoot } from '../privilege.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { backendOption } from './backend-option.ts';
import { dataplaneOption } from './options.ts';
import { watchReader, writeOutput } from './output.ts';
import { readQueryText } from './query-text.ts';
import { requirePaths } from './read-cluster.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly manifests?: string[];
  readonly backend: Backend;
  readonly dataplane: DataplaneChoice | 'none';
  readonly agent: boolean;
  readonly services: boolean;
  readonly cni: boolean;
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
    .addOption(dataplaneOption(['none']))
    .option('--no-agent', 'only the network: everything passes (as --dataplane none)')
    .option('--services', 'nodes translate Services and host ports, as kube-proxy has iptables do it', false)
    .option('--cni', 'wire pods by real CNI plugins with the configuration that Flannel gives them', false)
    .option('--queries <file>', 'probe what the lines of this file ask (- for stdin), print the answers and end')
    .addOption(
      new Option('-o, --output <format>', 'of the answers to queries').choices(['text', 'jsonl']).default('text'),
    )
    .addHelpText('after', HELP)
    .action((options: Options) => run(command, options));
  command
    .command('down')
    .description('Remove what labs that crashed have left behind.')
    .argument('[id...]', 'only these labs, also when they run')
    .action(down);
  return command;
}

const HELP = `
Without --queries the lab stays until Ctrl-C and prints who reaches whom, again whenever a manifest changes.
Where the policies' text says otherwise than the connections, that is said too (with --queries by exit code 1).
A query is a line {"from":"NS/POD or IP","to":"NS/POD or IP","port":80,"protocol":"TCP","family":"IPv4"}; protocol is TCP
(or UDP, SCTP) and family one that both ends have unless given. Enter a pod with: ip netns exec slv-ID-NODE_NAMESPACE_POD sh
Ask a node's agent with: selvedge flows --socket /run/selvedge-lab/ID/NODE-NUMBER.sock (status, explain)`;

/** What of the options the lab is made by. */
interface LabKind {
  readonly backend: Backend;
  readonly services: boolean;
  readonly cni: boolean;
  /** Whether anybody enforces policies, so that what is measured can be compared with what they say. */
  readonly enforced: boolean;
  readonly enforcer: (lab: Lab) => Enforcer;
}

interface AskedOfPort extends Asked {
  readonly query: Query;
}

async function run(command: Command, options: Options): Promise<void> {
  const { manifests } = options;
  if (manifests === undefined)
    command.error("error: required option '--manifests <path...>' not specified", { exitCode: 2 });
  requirePaths('--manifests', manifests);
  const dataplane = options.agent ? options.dataplane : 'none';
  const lab: LabKind = {
    backend: options.backend,
    services: options.services,
    cni: options.cni,
    enforced: dataplane !== 'none',
    enforcer: (started) => {
      return dataplane === 'none'
        ? NOBODY
        : new Agents({ manifests, dataplane, pinDir: started.mountBpffs(), onLost: complain });
    },
  };
  if (options.queries === undefined) {
    if (options.output === 'jsonl') command.error('error: -o jsonl is for the answers to --queries', { exitCode: 2 });
    return follow(manifests, lab);
  }
  const asked = parseQueryLines(await readQueryText(options.queries)).map(withPort);
  await answer(asked, manifests, lab, options.output);
}

async function follow(manifests: readonly string[], { enforced, ...kind }: LabKind): Promise<void> {
  requireRoot('selvedge lab');
  using stop = stopSignal();
  using _reader = watchReader();
  let before: Matrix | undefined;
  const told = new Set<string>();
  await runLiveLab(
    {
      ...kind,
      source: directorySource(manifests),
      onView: (view) => {
        tell(view, told);
        if (!view.synced) complain('a manifest cannot be read: the lab waits until it can');
      },
      onSettled: async (lab, view, over) => {
        const matrix = await probeMatrix(lab);
        if (before === undefined) process.stderr.write(`lab ${lab.id} is up; Ctrl-C ends it\n`);
        process.stdout.write(`\n${clock()}\n${formatMatrix(matrix, { before, ...terminal() })}\n`);
        before = matrix;
        // What was measured while manifests changed is of no one state.
        if (enforced && !over.aborted) matrixDifferences(view, matrix).forEach(complain);
      },
      onProblem: ({ message }) => complain(message),
    },
    stop.signal,
  );
}

async function answer(
  asked: readonly AskedOfPort[],
  manifests: readonly string[],
  { enforced, ...kind }: LabKind,
  output: Options['output'],
): Promise<void> {
  requireRoot('selvedge lab');
  using stop = stopSignal();
  const view = new ClusterViews().next(await firstValueFrom(directorySource(manifests)));
  tell(view, new Set());
  if (!view.synced) throw new LabError('a manifest cannot be read: see above');
  const queries = asked.map(({ query }) => query);
  const outcomes = await answerQueries({ ...kind, view, queries }, stop.signal);
  const differences = enforced
    ? answerDifferences({ view, queries, outcomes, services: kind.services || kind.cni })
    : [];
  for (const difference of differences) if (difference !== undefined) fail(difference);
  await writeOutput(
    asked.map(({ query, fields }, index) => {
      const outcome = outcomes[index] as ProbeOutcome;
      const said = outcome.verdict === 'error' ? { error: outcome.reason } : { verdict: outcome.verdict };
      if (outcome.verdict === 'error') fail(`${ends(query)}: ${outcome.reason}`);
      if (output === 'jsonl') return `${JSON.stringify({ ...fields, ...said })}\n`;
      return `${ends(query)}: ${said.verdict ?? `error: ${said.error}`}\n`;
    }),
  );
}

/** @throws {QueryError} the lab has no probe for it */
function withPort({ query, fields }: Asked): AskedOfPort {
  if (query.protocol !== 'ICMP') return { query, fields };
  const between = `${endText(query.from)} → ${endText(query.to)}`;
  throw new QueryError(`${between}: a lab tries TCP, UDP and SCTP; about ICMP ask selvedge explain`);
}

function ends({ from, to, port, protocol }: Query): string {
  return `${endText(from)} → ${endText(to)} ${port}/${protocol.toLowerCase()}`;
}

function down(ids: readonly string[]): void {
  requireRoot('selvedge lab down');
  const known = knownLabs();
  for (const id of ids)
    if (!known.includes(id as LabId))
      throw new LabError(`there is no lab ${id}; there are: ${known.join(', ') || 'none'}`);
  const labs = new Set(ids.length > 0 ? (ids as readonly LabId[]) : deadLabs());
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
  process.stderr.write(`selvedge: ${text}\n`);
}

/** With exit code 1 in the end. */
function fail(text: string): void {
  complain(text);
  process.exitCode = 1;
}

function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}
