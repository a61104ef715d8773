/** `selvedge cleanup`: takes every trace of both data planes off this node. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { cleanupBpfDataplane } from '../dataplane/bpf/open.ts';
import { cleanupIpsetDataplane } from '../dataplane/ipset/open.ts';
import { requireCleanupRights } from '../privilege.ts';
import { pinDirOption } from './options.ts';

export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description('Remove programs, maps, links, rules and sets from this node: policies are no longer enforced.')
    .addOption(pinDirOption())
    .action(async ({ pinDir }: { pinDir: string }) => {
      requireCleanupRights('selvedge cleanup');
      const there = existsSync(pinDir);
      if (there) await cleanupBpfDataplane(pinDir);
      say(there ? `removed ${pinDir} and what was attached` : `nothing of selvedge in ${pinDir}`);
      const removed = await cleanupIpsetDataplane();
      say(removed > 0 ? `removed ${removed} chains, sets and tables` : 'no chain, set or table of selvedge');
    });
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
