/** A file's content -> other content, at once: whoever reads meanwhile reads the old one or the new one, whole. */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Runtimes read no file of that ending. */
const MADE = /^\.selvedge-cni\.[0-9a-f-]+\.tmp$/;
/** What another installer makes just now is left to it. */
const LEFT_OVER_MS = 60_000;

/**
 * @param make writes all of the new file into `made`, which is not there yet
 * @param isStill asked last: whether the file is still what the new one was made from
 * @returns false: it is not, and was left as it is @throws what the file system refuses; nothing has changed then
 */
export function replaceFile(file: string, make: (made: string) => void, isStill = () => true): boolean {
  const made = join(dirname(file), `.selvedge-cni.${randomUUID()}.tmp`);
  try {
    make(made);
    sync(made);
    if (!isStill()) return false;
    renameSync(made, file);
    return true;
  } finally {
    rmSync(made, { force: true });
  }
}

/** Removes what an installer that was killed has left. @param olderThan milliseconds */
export function removeLeftOvers(folder: string, olderThan = LEFT_OVER_MS): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const age = () => Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (MADE.test(name) && age() >= olderThan) rmSync(path, { force: true });
  }
}

/** So that a machine that loses power has either. */
function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
