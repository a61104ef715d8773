/** `selvedge agent`: enforces the policies of an API server, or of a folder of manifests, on this node until it is told to stop. */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Logger } from 'pino';
import type { Observable } from 'rxjs';
import { Agent } from '../agent.ts';
import type { DataplaneChoice } from '../dataplane/select.ts';
import { type HealthAddress, parseHealthAddress } from '../health.ts';
import type { PendingMode } from '../links/bindings.ts';
import { linkSource } from '../links/link-source.ts';
import { LOG_LEVELS, type LogLevel, openLog } from '../log.ts';
import type { ClusterChange } from '../model/cluster.ts';
import { Hearing } from '../observe/hearing.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { warnUnlessNamed } from '../sources/directory/named-node.ts';
import { kubernetesSource } from '../sources/kubernetes/kubernetes-source.ts';
import { type CniOptions, cniOptions, keepPlugin, openClaims, requirePluginOptions } from './cni.ts';
import { dryRun } from './dry-run.ts';
import { type EventsChoice, openDataplane } from './open-dataplane.ts';
import { dataplaneOption, judgeOwnNodeOption, pinDirOption, socketOption } from './options.ts';
import { requirePaths } from './read-cluster.ts';
import { serve } from './serve.ts';
import { stopSignal } from './stop-signal.ts';

interface Options extends CniOptions {
  readonly manifests?: string[];
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly nodeName: string;
  readonly dataplane: DataplaneChoice;
  readonly setSysctls: boolean;
  readonly pinDir: string;
  readonly pending: PendingMode;
  readonly notPods: string[];
  readonly judgeOwnNode: boolean;
  readonly logLevel: LogLevel;
  readonly healthAddress: HealthAddress | typeof NOWHERE;
  readonly socket: string;
  readonly events: EventsChoice;
  readonly eventLimit?: number;
  readonly metricsDetail: boolean;
  readonly dryRun?: boolean;
}

/** What commander makes of an option without a text, whatever its parser gives. */
const NOWHERE = '';
/** The programs count in 32 bits. */
const MOST_EVENTS = 2 ** 32 - 1;
/** For what is still on its way out: lines of the log. */
const LAST_WORDS_MS = 500;
const DEFAULT_HEALTH_ADDRESS: HealthAddress = { host: '127.0.0.1', port: 9971 };

export function agentCommand(): Command {
  const command = new Command('agent')
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
    .addOption(
      new Option('--node-name <name>', 'this node, as pods name it')
        .env('NODE_NAME')
        .argParser(nodeName)
        .default(hostname()),
    )
    .addOption(dataplaneOption())
    .option(
      '--set-sysctls',
      'let iptables see what passes between pods on a bridge, where the data plane needs it',
      false,
    )
    .addOption(pinDirOption())
    .addOption(
      new Option('--pending <mode>', 'what an interface may do until its pod is known')
        .choices(['auto', 'open', 'closed'])
        .default('auto', 'auto: closed unless nobody it could be is under a policy'),
    )
    .addOption(
      new Option(
        '--not-pods <name...>',
        "interfaces that are no pods', and bridges whose ports are none, as docker0 or 'br-*'",
      ).default([], 'none'),
    )
    .addOption(judgeOwnNodeOption())
    .addOption(
      new Option('--health-address <host:port>', "where /healthz, /readyz and /metrics are served; '' for nowhere")
        .env('SELVEDGE_HEALTH_ADDRESS')
        .argParser(healthAddress)
        .default(DEFAULT_HEALTH_ADDRESS, '127.0.0.1:9971'),
    )
    .addOption(socketOption())
    .addOption(
      new Option(
        '--events <which>',
        'verdicts that flows tell of: drops, new connections that are admitted too, or none',
      )
        .choices(['drops', 'all', 'none'])
        .default('drops'),
    )
    .addOption(
      new Option(
        '--event-limit <number>',
        'of these, with BPF: how many each CPU tells in a tenth of a second, for each pod, direction and verdict; 0: all (default: 20)',
      ).argParser(eventLimit),
    )
    .option('--metrics-detail', 'metrics by rule, not only by policy', false)
    .addOption(
      new Option(
        '--dry-run',
        'say what would be written by BPF, or with --dataplane ipset by that; write nothing and end',
      ),
    )
    .addOption(new Option('--log-level <level>', 'least level that is logged').choices(LOG_LEVELS).default('info'))
    .action(run);
  for (const option of cniOptions()) command.addOption(option);
  return command;
}

async function run(options: Options): Promise<void> {
  requirePluginOptions(options);
  if (options.dryRun) requireInputs(options);
  const log = openLog(options.logLevel);
  using stop = stopSignal();
  const claims = openClaims(options, log);
  const hearing = new Hearing();
  const parts = {
    node: options.nodeName,
    source: claims.over(sourceOf(options, hearing, log)),
    links: linkSource(options.notPods),
    pending: options.pending,
    log,
  };
  const { pinDir, dataplane: choice, setSysctls, judgeOwnNode, events } = options;
  if (options.dryRun) {
    return await dryRun({ ...parts, pinDir, dataplane: choice, setSysctls, judgeOwnNode, events }, stop.signal);
  }
  const { dataplane, reason } = await openDataplane(options, log);
  const agent = new Agent({ ...parts, dataplane });
  let served: Disposable | undefined;
  try {
    await agent.start();
    const { healthAddress: health, socket, metricsDetail: detail, manifests } = options;
    served = serve(agent, {
      claims,
      ...(health !== NOWHERE && { health }),
      ...(socket !== NOWHERE && { socket }),
      facts: { reason, source: manifests === undefined ? 'kubernetes' : 'directory', hearing },
      detail,
      log,
    });
    using _kept = keepPlugin(options, log);
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  } finally {
    served?.[Symbol.dispose]();
    await agent.close();
  }
  log.info({ event: 'stopped' }, 'stopped; what is in force stays in force');
  // An exec plugin that never answers would keep the process.
  setTimeout(() => process.exit(), LAST_WORDS_MS).unref();
}

/** An agent waits for what is not there yet; who only asks would wait in vain. @throws {UsageError} */
function requireInputs({ manifests = [], kubeconfig }: Options): void {
  requirePaths('--manifests', manifests);
  if (kubeconfig !== undefined) requirePaths('--kubeconfig', [kubeconfig]);
}

function healthAddress(text: string): Options['healthAddress'] {
  if (text === NOWHERE) return NOWHERE;
  const address = parseHealthAddress(text);
  if (address === undefined)
    throw new InvalidArgumentError('an address and a port, as in 127.0.0.1:9971 or [::1]:9971.');
  return address;
}

/** An empty variable would make an agent that takes no pod for its own. */
function nodeName(text: string): string {
  if (!/^\S+$/.test(text)) throw new InvalidArgumentError('the name of a Node.');
  return text;
}

function eventLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit > MOST_EVENTS)
    throw new InvalidArgumentError(`a whole number up to ${MOST_EVENTS}.`);
  return limit;
}

function sourceOf(
  { manifests, nodeName: node, kubeconfig, context }: Options,
  hearing: Hearing,
  log: Logger,
): Observable<ClusterChange> {
  if (manifests !== undefined) return warnUnlessNamed(node, directorySource(manifests));
  return kubernetesSource({
    node,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
    onHeard: (kind) => hearing.note(kind),
    // Faults stand among the warnings, which the agent logs.
    onNotice: ({ type, code, object, message }) => {
      if (type === 'recovered') log.info({ event: 'recovered', code, object, was: message }, 'well again');
    },
  });
}
