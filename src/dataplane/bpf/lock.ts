/** One agent for each directory of pins: a lock on the directory itself, so that it reaches as far as the pins do. */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { type Lock, lockOf } from '../lock.ts';
import { makeDirectory } from './pins.ts';

export type { Lock };

/** Another agent has the directory. */
export class DirectoryInUseError extends Error {
  readonly code = 'DIRECTORY_IN_USE';
  constructor(directory: string) {
    super(`another agent is running on ${directory}; stop it first, or give this one a directory of its own`);
    this.name = 'DirectoryInUseError';
  }
}

/** Makes the directory if it is missing. @throws {DirectoryInUseError} @throws {DirectoryNotPrivateError} */
export function lockDirectory(directory: string): Lock {
  for (;;) {
    makeDirectory(directory);
    const fd = openSync(directory, 'r');
    try {
      const lock = lockOf(fd);
      if (lock === undefined) throw new DirectoryInUseError(directory);
      if (isStill(directory, fd)) return lock;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}

/** Whoever had the lock before may have removed the directory; another one has its path now, and a lock of its own. */
function isStill(directory: string, fd: number): boolean {
  const now = statSync(directory, { throwIfNoEntry: false });
  return now?.ino === fstatSync(fd).ino;
}
