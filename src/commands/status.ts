/** `selvedge status`: how the agent of this node is, or on which pods a policy is enforced. */
import { Command, Option } from 'commander';
import pc from 'picocolors';
import { askAgent } from '../api/client.ts';
import { PATHS, type PolicyStatus, type Status } from '../api/contract.ts';
import { formatPolicy, formatStatus } from '../observe/format-status.ts';
import { socketOption } from './options.ts';
import { writeOutput } from './output.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly policy?: string;
  readonly output: 'text' | 'json';
  readonly socket: string;
}

export function statusCommand(): Command {
  return new Command('status')
    .description("Say how this node's agent is: 0 when all that was seen is in force, 1 when not.")
    .option('--policy <namespace/name>', 'on which pods of this node this policy is enforced, and since when')
    .addOption(new Option('-o, --output <format>', 'what is printed').choices(['text', 'json']).default('text'))
    .addOption(socketOption())
    .action(run);
}

async function run({ policy, output, socket }: Options, command: Command): Promise<void> {
  if (policy !== undefined && !/^[^/\s]+\/[^/\s]+$/.test(policy)) {
    command.error(`error: --policy is NAMESPACE/NAME, not '${policy}'`, { exitCode: 2 });
  }
  const colours = pc.createColors(terminal().colour && output === 'text');
  if (policy !== undefined) {
    const status = await askAgent<PolicyStatus>(socket, `${PATHS.policies}${encodeURI(policy)}`);
    await writeOutput(output === 'json' ? [json(status)] : [formatPolicy(status, colours)]);
    if (status.pods.some(({ state }) => state !== 'enforced')) process.exitCode = 1;
    return;
  }
  const status = await askAgent<Status>(socket, PATHS.status);
  await writeOutput(output === 'json' ? [json(status)] : [formatStatus(status, colours)]);
  if (!status.ready) process.exitCode = 1;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
