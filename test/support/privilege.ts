// Tests that need the kernel's privileges run where they can and say by name why they do not elsewhere.
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe } from 'vitest';

const CAP_NET_ADMIN = 12;
const CAP_SYS_ADMIN = 21;

/** Why kernel tests cannot run here; `undefined` where they can. */
export function missingPrivilege(status: string = readFileSync('/proc/self/status', 'utf8')): string | undefined {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) return 'the kernel does not tell the process its capabilities';
  const has = (capability: number): boolean => ((BigInt(`0x${effective}`) >> BigInt(capability)) & 1n) === 1n;
  const missing = [
    ...(has(CAP_NET_ADMIN) ? [] : ['CAP_NET_ADMIN']),
    // Network namespaces and mounts of bpffs ask for it; CAP_BPF alone would do for the maps.
    ...(has(CAP_SYS_ADMIN) ? [] : ['CAP_SYS_ADMIN']),
  ];
  return missing.length === 0 ? undefined : `needs root (${missing.join(', ')})`;
}

/** Whether kernel tests can run here. */
export const privileged: boolean = missingPrivilege() === undefined;

/** Why other users cannot run this checkout; `undefined` where they can. */
export const hiddenFromOthers: string | undefined = closedFolder(process.cwd());

function closedFolder(path: string): string | undefined {
  if ((statSync(path).mode & 0o001) === 0) return `other users cannot enter ${path}`;
  return path === dirname(path) ? undefined : closedFolder(dirname(path));
}

/**
 * `describe` for tests that load BPF, make network namespaces or open raw sockets.
 * Without privilege every test in it is reported as skipped, under a name that gives the reason.
 */
export function describeAsRoot(name: string, body: () => void): void {
  describeUnless(missingPrivilege(), name, body);
}

/** `describe`, or with a reason why not, every test in it skipped under a name that gives it. */
export function describeUnless(reason: string | undefined, name: string, body: () => void): void {
  if (reason === undefined) describe(name, body);
  else describe.skip(`${name} [skipped: ${reason}]`, body);
}
