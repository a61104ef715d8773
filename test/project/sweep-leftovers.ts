// Before a test run: removes the network namespaces and pins of earlier runs that were killed before they could.
// Both carry their owner's process id, `slv-<pid>-…` and `selvedge-test-<pid>-…`; a living owner's are left alone.

import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';

const NAMESPACES = '/run/netns';
const PINS = '/sys/fs/bpf';

export function setup(): void {
  for (const name of leftovers(entriesOf(NAMESPACES), isAlive)) {
    attempt(name, () => execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' }));
  }
  for (const name of leftovers(entriesOf(PINS), isAlive)) {
    attempt(name, () => rmSync(`${PINS}/${name}`, { recursive: true }));
  }
}

/** The names among `entries` that a test run made whose process is gone. */
export function leftovers(entries: readonly string[], alive: (pid: number) => boolean): string[] {
  return entries.filter((entry) => {
    const pid = /^(?:slv|selvedge-test)-(\d+)(?:-|$)/.exec(entry)?.[1];
    return pid !== undefined && !alive(Number(pid));
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // No namespaces or no bpffs, or not for this user to see: then there is nothing to remove either.
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Two runs that start together may find the same leftover, and without privilege it has to stay. */
function attempt(name: string, remove: () => unknown): void {
  try {
    remove();
  } catch (error) {
    console.warn(`left over from an earlier test run and not removed: ${name}: ${(error as Error).message}`);
  }
}
