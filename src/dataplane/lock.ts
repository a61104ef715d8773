/**
 * One agent at a time: locks on what is open anyway, which end with their process however that ends, and leave no file
 * behind.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { tryLock } from '../native.ts';
import { nap } from './nap.ts';

export interface Lock {
  /** Idempotent. */
  release(): void;
}

/** Another agent writes rules and sets of this network. */
export class NetworkInUseError extends Error {
  readonly code = 'NETWORK_IN_USE';
  constructor(holder: number | undefined) {
    const who = holder === undefined ? '' : ` (process ${holder})`;
    super(`another agent${who} has the ipset data plane of this network namespace; stop it first`);
    this.name = 'NetworkInUseError';
  }
}

/**
 * A program that is being started has all descriptors of who starts it until it has become that program: so long it holds a
 * lock that was released meanwhile.
 */
const PATIENCE = { tries: 20, milliseconds: 5 } as const;

/**
 * The lock of an open file, or undefined when it is held; whether it is held through another descriptor of this process
 * makes no difference. The descriptor is closed with the lock.
 */
export function lockOf(fd: number): Lock | undefined {
  for (let tried = 1; !tryLock(fd); tried++) {
    if (tried === PATIENCE.tries) return undefined;
    nap(PATIENCE.milliseconds);
  }
  let held = true;
  return {
    release: () => {
      if (held) closeSync(fd);
      held = false;
    },
  };
}

/**
 * Locks the network namespace of the calling thread itself: rules and sets reach just as far, also where agents run in
 * containers that share no directory. Whoever is in the node's own namespace could hold the lock, so its holder is named.
 * @throws {NetworkInUseError}
 */
export function lockNetwork(): Lock {
  const fd = openSync('/proc/thread-self/ns/net', 'r');
  const lock = lockOf(fd);
  if (lock !== undefined) return lock;
  const { ino } = fstatSync(fd);
  closeSync(fd);
  throw new NetworkInUseError(holderOf(ino));
}

/** Unknown where it has no number in our own process namespace. */
function holderOf(inode: number): number | undefined {
  const line = new RegExp(` FLOCK .* (\\d+) [0-9a-f]+:[0-9a-f]+:${inode} `);
  const [, pid] = line.exec(readFileSync('/proc/locks', 'utf8')) ?? [];
  return pid === undefined || pid === '0' ? undefined : Number(pid);
}
