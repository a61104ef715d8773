/**
 * Which folders are watched, brought up to date with each listing. The kernel watches the folder itself, not its path:
 * a folder that was replaced is watched anew.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename } from 'node:path';

interface Watched {
  readonly watcher: FSWatcher;
  /** Device and inode. */
  readonly identity: string;
}

/** Names in a folder that matter; undefined for all. */
type Names = ReadonlySet<string> | undefined;

export class FolderWatch {
  readonly #notice: () => void;
  readonly #watched = new Map<string, Watched>();
  readonly #faults = new Map<string, Error>();
  #wanted = new Map<string, Names>();
  #listing = new Map<string, Names>();
  #closed = false;

  /** `notice` is called whenever something that matters in a watched folder may have changed. */
  constructor(notice: () => void) {
    this.#notice = notice;
  }

  /** Folders whose changes go unseen, and why. */
  get faults(): ReadonlyMap<string, Error> {
    return this.#faults;
  }

  /** Watches a folder for changes to one name or to all; a folder that is not there is left to those around it. */
  add(folder: string, name?: string): void {
    const identity = identityOf(folder);
    if (this.#closed || identity === undefined) return;
    const names = name === undefined ? undefined : new Set([name]);
    for (const wanted of [this.#wanted, this.#listing]) wanted.set(folder, union(wanted, folder, names));
    if (this.#watched.get(folder)?.identity === identity) return;
    this.#drop(folder);
    try {
      // The identity was taken first: if the folder is replaced in between, the next listing sees another one.
      const watcher = watch(folder, (_, changed) => this.#changed(folder, changed));
      watcher.on('error', () => this.#lose(folder));
      this.#watched.set(folder, { watcher, identity });
    } catch (error) {
      // The folders on the way need not be readable.
      if (name === undefined) this.#faults.set(folder, error as Error);
    }
  }

  /** Ends a listing: what was not added since the last one is let go. */
  settle(): void {
    for (const folder of [...this.#watched.keys()]) if (!this.#listing.has(folder)) this.#drop(folder);
    for (const folder of [...this.#faults.keys()]) if (!this.#listing.has(folder)) this.#faults.delete(folder);
    this.#wanted = this.#listing;
    this.#listing = new Map();
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    for (const folder of [...this.#watched.keys()]) this.#drop(folder);
  }

  #changed(folder: string, changed: string | null): void {
    const names = this.#wanted.get(folder);
    // The folder's own name stands for the folder itself, moved or removed.
    if (names === undefined || changed === null || names.has(changed) || changed === basename(folder)) this.#notice();
  }

  #drop(folder: string): void {
    this.#faults.delete(folder);
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }

  #lose(folder: string): void {
    this.#drop(folder);
    this.#notice();
  }
}

function union(wanted: ReadonlyMap<string, Names>, folder: string, names: Names): Names {
  if (!wanted.has(folder)) return names;
  const before = wanted.get(folder);
  return before && names && new Set([...before, ...names]);
}

function identityOf(folder: string): string | undefined {
  try {
    const found = statSync(folder, { bigint: true });
    return found.isDirectory() ? `${found.dev}:${found.ino}` : undefined;
  } catch {
    return undefined;
  }
}
