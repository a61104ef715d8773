/** `selvedge doctor`: looks at a node before or after installing, and says what to do; changes nothing on it. */
import { Command, Option } from 'commander';
import { DEFAULT_SOCKET } from '../api/contract.ts';
import { countOf, examine } from '../doctor/examine.ts';
import { formatResults } from '../doctor/format-results.ts';
import type { NodeFactsOptions } from '../doctor/node-facts.ts';
import { pinDirOption } from './options.ts';
import { writeOutput } from './output.ts';
import { terminal } from './terminal.ts';

interface Options extends NodeFactsOptions {
  readonly output: 'text' | 'json';
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Check a node before or after installing: what is there, what it means, what to do. Changes nothing.')
    .addOption(new Option('--socket <path>', 'where the agent listens').env('SELVEDGE_SOCKET').default(DEFAULT_SOCKET))
    .addOption(pinDirOption())
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['text', 'json']).default('text'))
    .action(run);
}

async function run({ output, ...options }: Options): Promise<void> {
  const results = await examine(options);
  if (countOf(results, 'failure') > 0) process.exitCode = 1;
  const text =
    output === 'json' ? JSON.stringify({ checks: results }, undefined, 2) : formatResults(results, terminal());
  await writeOutput([`${text}\n`]);
}
