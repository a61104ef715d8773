/** `selvedge cni install|uninstall`: puts the chained CNI plugin on this node, or takes it off. */
import { isAbsolute } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Logger } from 'pino';
import { CniClaims } from '../cni/claims.ts';
import { claimsFileOf, loadClaims, type StoredClaim, saveClaims } from '../cni/claims-file.ts';
import type { PluginSettings } from '../cni/conf-list.ts';
import { install, uninstall } from '../cni/install.ts';
import { keepInstalled } from '../cni/keep-installed.ts';
import { briefly } from '../log.ts';
import { socketOption } from './options.ts';
import { UsageError } from './usage-error.ts';

export interface CniOptions {
  readonly cniConfDir?: string;
  readonly cniBinDir: string;
  readonly cniTimeout: number;
  readonly cniOnAgentDown: PluginSettings['onAgentDown'];
}

const CONF_DIR = '/etc/cni/net.d';
const BIN_DIR = '/opt/cni/bin';
const LONGEST_SECONDS = 120;

export function cniCommand(): Command {
  const places = (command: Command) => command.addOption(confDirOption().default(CONF_DIR)).addOption(binDirOption());
  const installing = places(new Command('install'))
    .description('Copy the plugin among the CNI’s and add it to the configuration list that is in use.')
    .addOption(socketOption());
  for (const option of waitingOptions()) installing.addOption(option);
  return new Command('cni')
    .description('The chained CNI plugin: with it a pod’s first packet is judged by its policies.')
    .addCommand(installing.action((options) => say(install(installOptions(options)), 'is installed already')))
    .addCommand(
      places(new Command('uninstall'))
        .description('Take the plugin out of all configuration lists, and remove it.')
        .action(({ cniConfDir: confDir, cniBinDir: binDir }) =>
          say(uninstall({ confDir, binDir }), 'is not installed'),
        ),
    );
}

/** For the agent, which keeps it installed. */
export function cniOptions(): Option[] {
  return [confDirOption(), binDirOption(), ...waitingOptions()];
}

function installOptions(options: CniOptions & { readonly socket: string }) {
  const { cniConfDir: confDir = CONF_DIR, cniBinDir: binDir, cniTimeout: timeout, socket } = options;
  requireSocket(socket);
  return { confDir, binDir, settings: { socket, timeout, onAgentDown: options.cniOnAgentDown } };
}

/** The container runtime runs the plugin, in a folder of its own: with any other path no pod would start. @throws {UsageError} */
function requireSocket(socket: string): void {
  if (!isAbsolute(socket)) throw new UsageError(`--socket '${socket}': the plugin needs an absolute path to ask at`);
}

/** Before the agent begins. @throws {UsageError} */
export function requirePluginOptions({ cniConfDir, socket }: CniOptions & { readonly socket: string }): void {
  if (cniConfDir !== undefined) requireSocket(socket);
}

/** While it lives the plugin is put back wherever others have rewritten the list; undefined where no folder is given. */
export function keepPlugin(options: CniOptions & { readonly socket: string }, log: Logger): Disposable | undefined {
  if (options.cniConfDir === undefined) return undefined;
  return keepInstalled({
    ...installOptions(options),
    onWritten: (files) => log.info({ event: 'cni-installed', files }, 'the CNI plugin is installed'),
    onFailure: (error) => log.error({ event: 'cni-failed', err: briefly(error) }, 'the CNI plugin is not installed'),
  });
}

/** With what the plugin has told an agent before this one, where there is a socket for it to tell. */
export function openClaims({ nodeName, socket }: { nodeName: string; socket: string }, log: Logger): CniClaims {
  if (socket === '') return new CniClaims(nodeName);
  const file = claimsFileOf(socket);
  let failed = false;
  const fail = (error: unknown, text: string) => {
    if (!failed) log.warn({ event: 'cni-claims', file, err: briefly(error) }, text);
    failed = true;
  };
  let stored: readonly StoredClaim[] = [];
  try {
    stored = loadClaims(file);
  } catch (error) {
    fail(
      error,
      'what the CNI plugin has told before is not known: until the API server has their addresses, pods that started last are closed',
    );
    failed = false;
  }
  const save = (claims: readonly StoredClaim[]) => {
    try {
      saveClaims(file, claims);
      failed = false;
    } catch (error) {
      fail(error, 'what the CNI plugin tells will not be known after a restart');
    }
  };
  return new CniClaims(nodeName, { stored, save });
}

function confDirOption(): Option {
  return new Option('--cni-conf-dir <path>', 'folder of CNI configuration lists; the first gets the plugin').env(
    'SELVEDGE_CNI_CONF_DIR',
  );
}

function binDirOption(): Option {
  return new Option('--cni-bin-dir <path>', 'folder of CNI plugins').env('SELVEDGE_CNI_BIN_DIR').default(BIN_DIR);
}

function waitingOptions(): Option[] {
  return [
    new Option('--cni-timeout <seconds>', 'how long a pod waits for its policies at most')
      .argParser(seconds)
      .default(5),
    new Option('--cni-on-agent-down <mode>', 'what becomes of a pod that nobody says is enforced: started or not')
      .choices(['closed', 'open'])
      .default('closed'),
  ];
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= LONGEST_SECONDS) return value;
  throw new InvalidArgumentError(`seconds, above 0 and at most ${LONGEST_SECONDS}.`);
}

function say(files: readonly string[], nothing: string): void {
  process.stdout.write(files.length === 0 ? `the plugin ${nothing}\n` : `${files.join('\n')}\n`);
}
