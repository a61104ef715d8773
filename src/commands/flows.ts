/** `selvedge flows`: what passed and what was dropped at this node's pods, by whose word, as it happens or as it was. */
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { followAgent } from '../api/client.ts';
import { type FlowLine, PATHS } from '../api/contract.ts';
import { FlowTable } from '../observe/flows/flow-table.ts';
import { socketOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly follow: boolean;
  readonly last?: number;
  readonly output: 'table' | 'json';
  readonly socket: string;
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
    .action(run);
}

async function run(options: Options & Readonly<Record<keyof typeof FILTERS, string | undefined>>): Promise<void> {
  const { follow, last, output, socket } = options;
  const parameters: Record<string, string> = {};
  for (const name of Object.keys(FILTERS) as (keyof typeof FILTERS)[]) {
    const value = options[name];
    if (value !== undefined) parameters[name] = value;
  }
  if (follow) parameters.follow = 'true';
  if (last !== undefined) parameters.last = String(last);
  using stop = stopSignal();
  const table = new FlowTable(pc.createColors(terminal().colour));
  for await (const one of followAgent<FlowLine>(socket, PATHS.flows, { parameters, signal: stop.signal })) {
    process.stdout.write(output === 'json' ? `${JSON.stringify(one)}\n` : table.line(one));
  }
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('a number from 0.');
  return Number(text);
}
