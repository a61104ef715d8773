/** `selvedge flows`: what passed and what was dropped at this node's pods, by whose word, as it happens or as it was. */
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { AgentError, followAgent } from '../api/client.ts';
import { type FlowLine, PATHS } from '../api/contract.ts';
import { FlowTable } from '../observe/flows/flow-table.ts';
import { execEverywhere, NoPodsError } from '../sources/kubernetes/exec-everywhere.ts';
import { socketOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly follow: boolean;
  readonly last?: number;
  readonly output: 'table' | 'json';
  readonly socket: string;
  readonly allNodes: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly agentNamespace: string;
  readonly agentSelector: string;
}

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
  const { follow, last, output, socket, allNodes } = options;
  const parameters: Record<string, string> = {};
  for (const name of Object.keys(FILTERS) as (keyof typeof FILTERS)[]) {
    const value = options[name];
    if (value !== undefined) parameters[name] = value;
  }
  if (follow) parameters.follow = 'true';
  if (last !== undefined) parameters.last = String(last);
  using stop = stopSignal();
  const table = new FlowTable(pc.createColors(terminal().colour));
  const onLine = (one: FlowLine) => {
    process.stdout.write(output === 'json' ? `${JSON.stringify(one)}\n` : table.line(one));
  };
  if (allNodes) return await everywhere(options, parameters, { onLine, signal: stop.signal });
  for await (const one of followAgent<FlowLine>(socket, PATHS.flows, { parameters, signal: stop.signal })) onLine(one);
}

async function everywhere(
  { kubeconfig, context, agentNamespace: namespace, agentSelector: selector }: Options,
  parameters: Readonly<Record<string, string>>,
  { onLine, signal }: { readonly onLine: (line: FlowLine) => void; readonly signal: AbortSignal },
): Promise<void> {
  const args = Object.entries(parameters).flatMap(([name, value]) => {
    return name === 'follow' ? ['--follow'] : [`--${name}`, value];
  });
  const onTrouble = (node: string, message: string) => process.stderr.write(`selvedge: ${node}: ${message}\n`);
  const where = { ...(kubeconfig !== undefined && { kubeconfig }), ...(context !== undefined && { context }) };
  const failed = await execEverywhere({
    ...where,
    namespace,
    selector,
    container: 'agent',
    command: ['selvedge', 'flows', '-o', 'json', ...args],
    onLine: (line) => onLine(JSON.parse(line) as FlowLine),
    onTrouble,
    signal,
  }).catch((error: unknown) => {
    if (!(error instanceof NoPodsError)) throw error;
    throw new AgentError('NO_AGENTS', `${error.message} (--agent-namespace, --agent-selector)`, { cause: error });
  });
  if (failed > 0) process.exitCode = 1;
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('a number from 0.');
  return Number(text);
}
