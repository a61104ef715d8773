/** `selvedge cleanup`: takes every trace of the data plane off this node. */
import { Command } from 'commander';
import { cleanup } from '../dataplane/bpf/cleanup.ts';
import { pinDirOption } from './options.ts';

export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description('Remove programs, maps and links from this node: policies are no longer enforced.')
    .addOption(pinDirOption())
    .action(({ pinDir }: { pinDir: string }) => {
      const removed = cleanup(pinDir);
      process.stdout.write(removed === 0 ? `nothing of selvedge in ${pinDir}\n` : `removed ${removed} pins and links from ${pinDir}\n`);
    });
}
