/** `selvedge bench`: what enforcement costs here, measured. */
import { Command } from 'commander';
import { pathCommand } from '../bench/path/command.ts';

export function benchCommand(): Command {
  return new Command('bench').description('Measure what enforcement costs on this machine.').addCommand(pathCommand());
}
