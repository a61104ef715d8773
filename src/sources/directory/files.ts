/**
 * Paths as the user gave them to the manifests behind them, read. A folder counts with its subfolders; in it only
 * .yaml, .yml and .json files, and nothing whose name begins with a dot (editors' and kubelet's own files).
 */
import type { Dirent, Stats } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ManifestError } from './manifest.ts';

export interface ManifestFile {
  readonly path: string;
  /** As messages name it: relative to the folder when there is only one, else as given. */
  readonly name: string;
  readonly content: Content;
}

/** The text, or why there is none. */
export type Content = { readonly text: string } | { readonly error: ManifestError };

export interface Listing {
  /** Sorted by path; each once. */
  readonly files: readonly ManifestFile[];
  /** Paths that could not be looked into. What was last known under them still stands. */
  readonly unreadable: readonly { readonly path: string; readonly error: ManifestError }[];
}

export interface ListingOptions {
  /** Largest file that is read, in bytes. */
  readonly maxBytes: number;
  /** Called before anything is looked into, with each folder whose changes, to one name or to all, can change the listing. */
  readonly onFolder?: (folder: string, name?: string) => void;
}

/** Reads everything there is now. What cannot be read is in the result; nothing is thrown. */
export async function listManifests(paths: readonly string[], options: ListingOptions): Promise<Listing> {
  const listing = new ListingRun(paths.length === 1 ? paths[0] : undefined, options);
  for (const path of paths) await listing.addRoot(path);
  return listing.result();
}

class ListingRun {
  readonly #only: string | undefined;
  readonly #options: ListingOptions;
  readonly #files = new Map<string, ManifestFile>();
  readonly #unreadable = new Map<string, ManifestError>();
  /** Real paths of the folders above the one that is looked into: a link to one of them would never end. */
  readonly #above = new Set<string>();

  constructor(only: string | undefined, options: ListingOptions) {
    this.#only = only;
    this.#options = options;
  }

  async addRoot(given: string): Promise<void> {
    const path = resolve(given);
    this.#watchWay(path);
    const found = await this.#stat(path, given);
    if (found?.isDirectory()) await this.#addFolder(path, this.#only === undefined ? given : '');
    else if (found !== undefined) await this.#addFile(path, given, found);
  }

  /** Every folder on the way to a path sees when its next step is replaced, removed or comes back. */
  #watchWay(path: string): void {
    for (let step = path; dirname(step) !== step; step = dirname(step)) {
      this.#options.onFolder?.(dirname(step), basename(step));
    }
  }

  result(): Listing {
    return {
      files: [...this.#files.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
      unreadable: [...this.#unreadable].map(([path, error]) => ({ path, error })),
    };
  }

  async #addFolder(path: string, name: string): Promise<void> {
    const real = await realpath(path).catch(() => path);
    if (this.#above.has(real)) return;
    this.#above.add(real);
    this.#options.onFolder?.(path);
    for (const entry of await this.#entries(path, name)) {
      if (entry.name.startsWith('.')) continue;
      await this.#addEntry(join(path, entry.name), join(name, entry.name), entry);
    }
    this.#above.delete(real);
  }

  async #addEntry(path: string, name: string, entry: Dirent): Promise<void> {
    const looksRight = /\.(ya?ml|json)$/.test(entry.name);
    if (!looksRight && entry.isFile()) return;
    // A link that leads nowhere and does not look like a manifest is nobody's loss.
    const found = await this.#stat(path, name, !looksRight);
    if (found?.isDirectory()) await this.#addFolder(path, name);
    else if (found?.isFile() && looksRight) await this.#addFile(path, name, found);
  }

  async #addFile(path: string, name: string, found: Stats): Promise<void> {
    const real = await realpath(path).catch(() => path);
    if (real !== path) this.#options.onFolder?.(dirname(real), basename(real));
    this.#files.set(path, { path, name, content: await this.#read(path, name, found) });
  }

  async #read(path: string, name: string, found: Stats): Promise<Content> {
    const { maxBytes } = this.#options;
    if (!found.isFile() && !found.isFIFO()) return { error: new ManifestError(name, 'is no regular file') };
    if (found.size > maxBytes) {
      return { error: new ManifestError(name, `is larger than ${maxBytes} bytes: ${found.size}`) };
    }
    try {
      return { text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)) };
    } catch (cause) {
      return { error: new ManifestError(name, `cannot be read: ${(cause as Error).message}`, { cause }) };
    }
  }

  async #entries(path: string, name: string): Promise<Dirent[]> {
    try {
      return await readdir(path, { withFileTypes: true });
    } catch (cause) {
      this.#miss(path, name, cause);
      return [];
    }
  }

  async #stat(path: string, name: string, silent = false): Promise<Stats | undefined> {
    try {
      return await stat(path);
    } catch (cause) {
      if (!silent) this.#miss(path, name, cause);
      return undefined;
    }
  }

  #miss(path: string, name: string, cause: unknown): void {
    const shown = name === '' ? basename(path) : name;
    this.#unreadable.set(path, new ManifestError(shown, `cannot be read: ${(cause as Error).message}`, { cause }));
  }
}
