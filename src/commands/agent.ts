/** `selvedge agent`: enforces the policies of an API server, or of a folder of manifests, on this node until it is told to stop. */
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import type { Logger } from 'pino';
import type { Observable } from 'rxjs';
import { Agent } from '../agent.ts';
import { openBpfDataplane } from '../dataplane/bpf/open.ts';
import type { PendingMode } from '../links/bindings.ts';
import { linkSource } from '../links/link-source.ts';
import { LOG_LEVELS, type LogLevel, openLog } from '../log.ts';
import type { ClusterChange } from '../model/cluster.ts';
import { explainRefusal } from '../privilege.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { kubernetesSource } from '../sources/kubernetes/kubernetes-source.ts';
import { BPF_OBJECT, pinDirOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';

interface Options {
  readonly manifests?: string[];
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly nodeName: string;
  readonly pinDir: string;
  readonly pending: PendingMode;
  readonly logLevel: LogLevel;
}

export function agentCommand(): Command {
  return new Command('agent')
    .description('Enforce NetworkPolicies on this node. SIGTERM ends the agent and leaves enforcement in place.')
    .addOption(
      new Option(
        '--manifests <path...>',
        'enforce these folders or files, followed as they change; no API server',
      ).conflicts(['kubeconfig', 'context']),
    )
    .option(
      '--kubeconfig <path>',
      "how to reach the API server (default: KUBECONFIG, else the pod's service account, else ~/.kube/config)",
    )
    .option('--context <name>', 'context of the kubeconfig (default: its current one)')
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
  const opening = openBpfDataplane({ path: BPF_OBJECT, directory: options.pinDir });
  const dataplane = await opening.catch((error) => {
    throw explainRefusal(error);
  });
  const agent = new Agent({
    node: options.nodeName,
    source: sourceOf(options, log),
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

function sourceOf({ manifests, nodeName: node, kubeconfig, context }: Options, log: Logger): Observable<ClusterChange> {
  if (manifests !== undefined) return directorySource(manifests);
  return kubernetesSource({
    node,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
    // Faults stand among the warnings, which the agent logs.
    onNotice: ({ type, code, object, message }) => {
      if (type === 'recovered') log.info({ event: 'recovered', code, object, was: message }, 'well again');
    },
  });
}
