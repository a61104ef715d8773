/** `selvedge agent`: enforces the policies of a folder of manifests on this node until it is told to stop. */
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { Agent } from '../agent.ts';
import { openBpfDataplane } from '../dataplane/bpf/open.ts';
import type { PendingMode } from '../links/bindings.ts';
import { linkSource } from '../links/link-source.ts';
import { LOG_LEVELS, type LogLevel, openLog } from '../log.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { BPF_OBJECT, pinDirOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';

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
  using stop = stopSignal();
  const dataplane = await openBpfDataplane({ path: BPF_OBJECT, directory: options.pinDir });
  const agent = new Agent({
    node: options.nodeName,
    source: directorySource(options.manifests),
    links: linkSource(),
    dataplane,
    pending: options.pending,
    log,
  });
  agent.start();
  await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  await agent.close();
  log.info({ event: 'stopped' }, 'stopped; what is in force stays in force');
}
