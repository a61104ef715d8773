// Before a test run: removes the labs, network namespaces and pins of earlier runs that were killed before they could.
// All carry their owner's process id, `slv-<pid>-…`, `slv-<pid>_…` and `selvedge-test-<pid>-…`; a living owner's are left alone.

import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';

const NAMESPACES = '/run/netns';
const PINS = '/sys/fs/bpf';

export async function setup(): Promise<void> {
  await removeLabs();
  for (const name of leftovers(entriesOf(NAMESPACES), isAlive)) {
    attempt(name, () => execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' }));
  }
  for (const name of leftovers(entriesOf(PINS), isAlive)) {
    attempt(name, () => rmSync(`${PINS}/${name}`, { recursive: true }));
  }
}

/** The names among `entries` that a test run, or a lab of one, made whose process is gone. */
export function leftovers(entries: readonly string[], alive: (pid: number) => boolean): string[] {
  return entries.filter((entry) => {
    const pid = /^(?:slv|selvedge-test)-(\d+)[a-z]*(?:[-_]|$)/.exec(entry)?.[1];
    return pid !== undefined && !alive(Number(pid));
  });
}

/** A lab knows its owner better than by a number, and has mounts besides namespaces. */
async function removeLabs(): Promise<void> {
  if (entriesOf('/run/selvedge-lab').length === 0) return;
  // Only now: where nothing is to be swept, tests that need no addon run without one.
  const { deadLabs, removeLab } = await import('../../src/lab/lab-record.ts');
  for (const lab of deadLabs()) attempt(`lab ${lab}`, () => removeLab(lab));
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
