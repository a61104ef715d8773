/** `selvedge bench`: what enforcement costs here, measured. */
import { Command } from 'commander';
import { addCompareOptions, type CompareCommandOptions, runCompare } from '../bench/compare/command.ts';
import { pathCommand } from '../bench/path/command.ts';

export function benchCommand(): Command {
  const bench = new Command('bench').description(
    'Compare what enforcement costs on this machine: no policy, an empty program, both data planes, plain iptables rules.',
  );
  return addCompareOptions(bench)
    .addHelpText('after', HELP)
    .action((options: CompareCommandOptions) => runCompare(options))
    .addCommand(pathCommand());
}

const HELP = `
Each engine plays the same cluster in a lab of its own, network namespaces on this machine, and all take turns in every round.
The grid is printed before it begins; Ctrl-C ends it and removes all labs. What a killed run has left: selvedge lab down.`;
