/** `selvedge cleanup`: takes every trace of both data planes off this node. */
import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { claimsFileOf } from '../cni/claims-file.ts';
import { cleanupBpfDataplane } from '../dataplane/bpf/open.ts';
import { cleanupIpsetDataplane } from '../dataplane/ipset/open.ts';
import { requireCleanupRights } from '../privilege.ts';
import { pinDirOption, socketOption } from './options.ts';

export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description('Remove programs, maps, links, rules and sets from this node: policies are no longer enforced.')
    .addOption(pinDirOption())
    .addOption(socketOption())
    .action(async ({ pinDir, socket }: { pinDir: string; socket: string }) => {
      requireCleanupRights('selvedge cleanup');
      const there = existsSync(pinDir);
      if (there) await cleanupBpfDataplane(pinDir);
      say(there ? `removed ${pinDir} and what was attached` : `nothing of selvedge in ${pinDir}`);
      const removed = await cleanupIpsetDataplane();
      removeSocket(socket);
      say(removed > 0 ? `removed ${removed} chains, sets and tables` : 'no chain, set or table of selvedge');
    });
}

/** What a killed agent has left, and its folder when nothing else is in there. Somebody's file that has the name stays. */
function removeSocket(socket: string): void {
  if (socket === '') return;
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket()) rmSync(socket);
  rmSync(claimsFileOf(socket), { force: true });
  const folder = dirname(socket);
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
