/** `selvedge bench --cluster`, and what its pods run out of the image: `selvedge bench cluster-client` and `cluster-turns`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { writeOutput } from '../../commands/output.ts';
import { stopSignal } from '../../commands/stop-signal.ts';
import { clusterManifests } from './manifests.ts';
import { type MeasureOptions, measureInCluster } from './measure.ts';
import { CLUSTER_DEFAULTS, type ClusterOptions, nameOf } from './options.ts';
import { serveTurns } from './turns.ts';

type ClientOptions = Omit<MeasureOptions, 'signal' | 'onProgress'>;

/** As they come from the command line: --policies may name several for a run in the lab. */
export interface PrintOptions extends Partial<Omit<ClusterOptions, 'policies'>> {
  readonly policies?: readonly number[];
  readonly report?: string;
}

/** @param command to say that it was asked for wrongly */
export async function printClusterManifests(options: PrintOptions, command: Command): Promise<void> {
  const { policies: [policies = CLUSTER_DEFAULTS.policies, ...others] = [], report, ...rest } = options;
  const wrong = (text: string) => command.error(`error: with --cluster, ${text}`, { exitCode: 2 });
  if (others.length > 0) wrong('--policies is one number: apply what it prints once for each');
  if (report !== undefined) wrong('there is no report yet: selvedge bench report draws one of the logs of its jobs');
  await writeOutput(clusterManifests({ ...CLUSTER_DEFAULTS, ...rest, policies }));
}

/** Not for people: their help does not name these. */
export function clusterCommands(): readonly Command[] {
  return [clientCommand(), turnsCommand()];
}

function clientCommand(): Command {
  return new Command('cluster-client')
    .description('Measure against a server of selvedge bench --cluster, and print the report as a line of JSON.')
    .requiredOption('--server <host>', 'the server')
    .requiredOption('--turns <host>', 'who says whose turn it is')
    .addOption(new Option('--topology <topology>').choices(['one-node', 'two-nodes']).makeOptionMandatory())
    .addOption(new Option('--traffic <traffic>').choices(['allowed', 'unselected']).makeOptionMandatory())
    .requiredOption('--policies <number>', 'how many policies there are', wholeNumber)
    .requiredOption('--name <name>', 'what enforces here', nameOf)
    .option('--rounds <number>', 'how often', wholeNumber, 5)
    .option('--seconds <number>', 'of each run', Number, 1)
    .option('--node <name>', 'where this is')
    .action(async (options: ClientOptions) => {
      using stop = stopSignal();
      const onProgress = (text: string) => process.stderr.write(`${text}\n`);
      const report = await measureInCluster({ ...options, signal: stop.signal, onProgress });
      await writeOutput([`${JSON.stringify(report)}\n`]);
    });
}

function turnsCommand(): Command {
  return new Command('cluster-turns')
    .description('Let clients of selvedge bench --cluster measure one after the other.')
    .requiredOption('--port <port>', 'TCP port', wholeNumber)
    .action(async ({ port }: { readonly port: number }) => {
      using stop = stopSignal();
      await using _turns = await serveTurns(port);
      await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
    });
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`${text} is no whole number.`);
}
