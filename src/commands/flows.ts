/** `selvedge flows`: what passed and what was dropped at this node's pods, by whose word, as it happens or as it was. */
import { once } from 'node:events';
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { AgentError, followAgent } from '../api/client.ts';
import { type FlowLine, PATHS } from '../api/contract.ts';
import { FlowTable } from '../observe/flows/flow-table.ts';
import { execEverywhere, NoPodsError } from '../sources/kubernetes/exec-everywhere.ts';
import { socketOption } from './options.ts';
import { watchReader } from './output.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

interface Options {
  readonly follow: boolean;
  readonly keepAlive: boolean;
  readonly last?: number;
  readonly output: 'table' | 'json';
  readonly socket: string;
  readonly allNodes: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly agentNamespace: string;
  readonly agentSelector: string;
}

const KEEP_ALIVE_MS = 15_000;

const FILTERS = {
  namespace: ['--namespace <name,...>', 'of either end'],
  pod: ['--pod <namespace/pod,...>', 'either end'],
  from: ['--from <end,...>', 'NAMESPACE/POD, NAMESPACE/, an address or a prefix'],
  to: ['--to <end,...>', 'the same of the destination'],
  port: ['--port <port,...>', '80, 80/tcp, or a protocol alone'],
  verdict: ['--verdict <verdict>', 'allow or deny'],
  policy: ['--policy <namespace/name,...>', 'that admitted, or that isolates'],
  since: ['--since <time>', '90s, 5m, 1h, or a time'],
} as const;

export function flowsCommand(): Command {
  const command = new Command('flows').description('Show what was dropped at pods of this node, by which policy.');
  for (const [flags, description] of Object.values(FILTERS)) command.option(flags, description);
  return command
    .option('--last <n>', 'only the newest of those that the agent has kept', count)
    .option('-f, --follow', 'go on with what comes', false)
    .addOption(
      new Option('-o, --output <format>', 'json: one object in a line').choices(['table', 'json']).default('table'),
    )
    .addOption(new Option('--keep-alive', 'an empty line now and then').default(false).hideHelp())
    .addOption(socketOption())
    .option('--all-nodes', 'ask the agents of all nodes, found through the API server', false)
    .option('--kubeconfig <path>', 'with --all-nodes: how to reach the API server')
    .option('--context <name>', 'with --all-nodes: context of the kubeconfig')
    .option('--agent-namespace <name>', "with --all-nodes: of the agents' pods", 'kube-system')
    .option(
      '--agent-selector <selector>',
      "with --all-nodes: labels of the agents' pods",
      'app.kubernetes.io/name=selvedge',
    )
    .action(run);
}

async function run(options: Options & Readonly<Record<keyof typeof FILTERS, string | undefined>>): Promise<void> {
  const { follow, keepAlive, last, output, socket, allNodes } = options;
  const parameters: Record<string, string> = {};
  for (const name of Object.keys(FILTERS) as (keyof typeof FILTERS)[]) {
    const value = options[name];
    if (value !== undefined) parameters[name] = value;
  }
  if (follow) parameters.follow = 'true';
  if (last !== undefined) parameters.last = String(last);
  using stop = stopSignal();
  using _reader = follow ? watchReader() : undefined;
  using _alive = keepAlive ? keptAlive() : undefined;
  const { signal } = stop;
  const table = new FlowTable(pc.createColors(terminal().colour), { nodes: allNodes });
  const onLine = (one: FlowLine) => print(output === 'json' ? `${JSON.stringify(one)}\n` : table.line(one), signal);
  try {
    if (allNodes) return await everywhere(options, parameters, { onLine, signal });
    for await (const one of followAgent<FlowLine>(socket, PATHS.flows, { parameters, signal })) await onLine(one);
  } catch (error) {
    if (signal.aborted) return;
    // The agent knows what can be asked.
    if (error instanceof AgentError && error.code === 'FLOW_QUERY')
      throw new UsageError(error.message, { cause: error });
    throw error;
  } finally {
    // What nobody reads would hold the process for ever.
    if (signal.aborted && process.stdout.writableNeedDrain) process.exit();
  }
}

/** A reader that is slow is waited for: it misses lines at the agent, which says how many, and nothing piles up here. */
async function print(text: string, signal: AbortSignal): Promise<void> {
  if (process.stdout.write(text) || signal.aborted) return;
  // Who ends the wait by an error or the signal ends the command too.
  await once(process.stdout, 'drain', { signal }).catch(() => {});
}

/** Through an API server: idle connections are cut on the way, and who has gone is missed only when something is written. */
function keptAlive(): Disposable {
  const timer = setInterval(() => process.stdout.write('\n'), KEEP_ALIVE_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function everywhere(
  { kubeconfig, context, agentNamespace: namespace, agentSelector: selector }: Options,
  parameters: Readonly<Record<string, string>>,
  { onLine, signal }: { readonly onLine: (line: FlowLine) => Promise<void>; readonly signal: AbortSignal },
): Promise<void> {
  const args = Object.entries(parameters).flatMap(([name, value]) => {
    return name === 'follow' ? ['--follow', '--keep-alive'] : [`--${name}`, value];
  });
  const onTrouble = (node: string, message: string) => process.stderr.write(`selvedge: ${node}: ${message}\n`);
  const where = { ...(kubeconfig !== undefined && { kubeconfig }), ...(context !== undefined && { context }) };
  const failed = await execEverywhere({
    ...where,
    namespace,
    selector,
    container: 'agent',
    command: ['selvedge', 'flows', '-o', 'json', ...args],
    onLine: async (line, node) => {
      const one = flowLineIn(line);
      if (one === undefined) onTrouble(node, `says what is no flow: ${line.slice(0, 200)}`);
      else await onLine(one);
    },
    onTrouble,
    signal,
  }).catch((error: unknown) => {
    if (!(error instanceof NoPodsError)) throw error;
    const others = error.cause === undefined ? ' (--agent-namespace, --agent-selector)' : '';
    throw new AgentError('NO_AGENTS', `${error.message}${others}`, { cause: error });
  });
  if (failed > 0) process.exitCode = 1;
}

function flowLineIn(text: string): FlowLine | undefined {
  try {
    const one = JSON.parse(text) as Partial<FlowLine> | null;
    return one?.kind === 'flow' || one?.kind === 'lost' ? (one as FlowLine) : undefined;
  } catch {
    return undefined;
  }
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('a number from 0.');
  return Number(text);
}
