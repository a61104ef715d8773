/** `selvedge bench`: what enforcement costs here, measured. */
import { Command, Option } from 'commander';
import { clusterCommands, type PrintOptions, printClusterManifests } from '../bench/cluster/command.ts';
import { addClusterOptions } from '../bench/cluster/options.ts';
import { addCompareOptions, type CompareCommandOptions, runCompare } from '../bench/compare/command.ts';
import type { RenderOptions } from '../bench/compare/report/index.ts';
import { pathCommand } from '../bench/path/command.ts';

export function benchCommand(): Command {
  const bench = new Command('bench').description(
    'Compare what enforcement costs on this machine: no policy, an empty program, both data planes, plain iptables rules.',
  );
  addClusterOptions(addCompareOptions(bench))
    .addHelpText('after', HELP)
    .action((options: Options, command: Command) => {
      refuse(command, options.cluster ? OF_THE_LAB : OF_CLUSTER, options.cluster ? 'not with' : 'only with');
      return options.cluster ? printClusterManifests(options, command) : runCompare(options);
    })
    .addCommand(pathCommand())
    .addCommand(reportCommand());
  for (const command of clusterCommands()) bench.addCommand(command, { hidden: true });
  return bench;
}

/** What means nothing without --cluster, and with it. */
const OF_CLUSTER = ['namespace', 'image', 'nodes', 'name'];
const OF_THE_LAB = ['output', 'quick', 'engines'];

/** An option that would be passed over: a run of half an hour is not what was asked for. */
function refuse(command: Command, options: readonly string[], when: string): void {
  const given = options.find((name) => command.getOptionValueSource(name) === 'cli');
  if (given !== undefined) command.error(`error: --${given} goes ${when} --cluster`, { exitCode: 2 });
}

type Options = CompareCommandOptions & PrintOptions & { readonly cluster?: true };

function reportCommand(): Command {
  return (
    new Command('report')
      .description(
        'Show, draw and put side by side what was measured before: files of -o json, report.json, logs of --cluster.',
      )
      .argument('<files...>', 'reports; - is standard input')
      .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
      .option('--report <directory>', 'write an HTML page, plots and the figures there')
      // Only here: other commands need none of it.
      .action(async (files: string[], options: RenderOptions) => {
        const { renderSaved } = await import('../bench/compare/report/index.ts');
        await renderSaved(files, options);
      })
  );
}

const HELP = `
Each engine plays the same cluster in a lab of its own, network namespaces on this machine, and all take turns in every round.
The grid is printed before it begins; Ctrl-C ends it and removes all labs. What a killed run has left: selvedge lab down.`;
