/** `selvedge cleanup`: takes every trace of the data plane off this node. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { cleanupBpfDataplane } from '../dataplane/bpf/open.ts';
import { pinDirOption } from './options.ts';

export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description('Remove programs, maps and links from this node: policies are no longer enforced.')
    .addOption(pinDirOption())
    .action(async ({ pinDir }: { pinDir: string }) => {
      const there = existsSync(pinDir);
      if (there) await cleanupBpfDataplane(pinDir);
      process.stdout.write(there ? `removed ${pinDir} and what was attached\n` : `nothing of selvedge in ${pinDir}\n`);
    });
}
