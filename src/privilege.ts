/** What of the kernel's capabilities this process has, and the words for a person whose process lacks some. */
import { readFileSync } from 'node:fs';
import { BpfError } from './native.ts';

const NUMBERS = {
  CAP_NET_BROADCAST: 11,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof NUMBERS;

/** Something needs a privilege that this process does not have; says which and for what. */
export class PrivilegeError extends Error {
  readonly code = 'PRIVILEGE';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PrivilegeError';
  }
}

/** Those of `needed` that are not in effect. @param status as /proc/self/status has it */
export function missingCapabilities(
  needed: readonly Capability[],
  status: string = readFileSync('/proc/self/status', 'utf8'),
): readonly Capability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  // "CAP_BPF and CAP_PERFMON were split from CAP_SYS_ADMIN", which still stands for both.
  const has = (name: Capability) => ((effective >> BigInt(NUMBERS[name])) & 1n) === 1n;
  const implied = (name: Capability) => (name === 'CAP_BPF' || name === 'CAP_PERFMON') && has('CAP_SYS_ADMIN');
  return needed.filter((name) => !has(name) && !implied(name));
}

/** For what plays a cluster on this machine. @throws {PrivilegeError} before anything is made */
export function requireRoot(command: string): void {
  const missing = missingCapabilities(['CAP_SYS_ADMIN', 'CAP_NET_ADMIN', 'CAP_NET_RAW']);
  const user = process.geteuid?.();
  if (user === 0 && missing.length === 0) return;
  const lack = user === 0 ? `it runs as root without ${missing.join(', ')}` : `it runs as user ${user}; try sudo`;
  throw new PrivilegeError(
    `${command} needs root, to make network namespaces (CAP_SYS_ADMIN), interfaces and routes in them (CAP_NET_ADMIN) and raw packets (CAP_NET_RAW): ${lack}`,
  );
}

/** For taking away what an agent has left: without these it would see nothing, and say so. @throws {PrivilegeError} */
export function requireCleanupRights(command: string): void {
  const missing = missingCapabilities(['CAP_BPF', 'CAP_NET_ADMIN']);
  if (missing.length === 0) return;
  throw new PrivilegeError(
    `${command} needs root, or CAP_BPF and CAP_NET_ADMIN, to see and remove programs, maps, links, rules and sets: ${missing.join(' and ')} missing here, as user ${process.geteuid?.()}; try sudo`,
  );
}

const MOUNTING = 'mounting a bpffs takes CAP_SYS_ADMIN too';
const FILTERED = 'none is missing here: something else forbids it, a seccomp filter or a locked kernel say';

/** The kernel's refusal in words, where it was one for want of privilege; any other error as it is. */
export function explainRefusal(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'EPERM' && code !== 'EACCES') return error;
  const missing = missingCapabilities(['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON']);
  // EACCES with all of them is the verifier's, or a folder's.
  if (missing.length === 0 && (code === 'EACCES' || !(error instanceof BpfError))) return error;
  const other = (error as BpfError).syscall === 'mount' ? MOUNTING : FILTERED;
  const lack = missing.length === 0 ? other : `missing here: ${missing.join(', ')}`;
  return new PrivilegeError(
    `the agent needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to load and attach its programs (${lack}): ${message.split('\n')[0]}`,
    { cause: error },
  );
}
