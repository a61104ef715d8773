/** `selvedge agent`: enforces the policies of a folder of manifests on this node until it is told to stop. */
import { once } from 'node:events';
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { Agent } from '../agent.ts';
import { BpfDataplane } from '../dataplane/bpf/bpf-dataplane.ts';
import type { PendingMode } from '../links/bindings.ts';
import { linkSource } from '../links/link-source.ts';
import { LOG_LEVELS, type LogLevel, openLog } from '../log.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { pinDirOption } from './options.ts';

interface Options {
  readonly manifests: string[];
  readonly nodeName: string;
  readonly pinDir: string;
  readonly pending: PendingMode;
  readonly logLevel: LogLevel;
}

export function agentCommand(): Command {
  return new Command('agent')
    .description('Enforce NetworkPolicies on this node. SIGTERM ends the agent and leaves enforcement in place.')
    .requiredOption('--manifests <path...>', 'folders or files of manifests to enforce, followed as they change')
    .addOption(new Option('--node-name <name>', 'this node, as pods name it').env('NODE_NAME').default(hostname()))
    .addOption(pinDirOption())
    .addOption(
      new Option('--pending <mode>', 'what an interface may do until its pod is known')
        .choices(['auto', 'open', 'closed'])
        .default('auto', 'auto: closed unless nobody it could be is under a policy'),
    )
    .addOption(new Option('--log-level <level>', 'least level that is logged').choices(LOG_LEVELS).default('info'))
    .action(run);
}

async function run(options: Options): Promise<void> {
  const log = openLog(options.logLevel);
  const dataplane = await BpfDataplane.open({ pinDir: options.pinDir });
  const agent = new Agent({
    node: options.nodeName,
    source: directorySource(options.manifests),
    links: linkSource(),
    dataplane,
    pending: options.pending,
    log,
  });
  agent.start();
  const signal = await Promise.race(['SIGTERM', 'SIGINT'].map(async (name) => (await once(process, name), name)));
  await agent.close();
  log.info({ event: 'stopped', signal }, 'stopped; what is in force stays in force');
}
