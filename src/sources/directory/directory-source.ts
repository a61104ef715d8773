/** Folders and files of manifests to the stream of cluster changes: what is there, and then each settled edit. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  asyncScheduler,
  concatMap,
  defer,
  filter,
  finalize,
  type Observable,
  type SchedulerLike,
  Subject,
  startWith,
} from 'rxjs';
import type { ClusterChange, ClusterObject, Warning } from '../../model/cluster.ts';
import { assemble } from './assemble.ts';
import { eventsBetween } from './diff.ts';
import { listManifests } from './files.ts';
import { FolderWatch } from './folder-watch.ts';
import { LastGood } from './last-good.ts';
import { settled } from './settled.ts';

export interface DirectoryOptions {
  /** Whether pods without a node or an address get them, as model/allocate.ts says; default true. */
  readonly allocate?: boolean;
  /** Largest file that is read, in bytes; default 64 MiB. */
  readonly maxBytes?: number;
  /** How long files must be left alone before they are read anew, in milliseconds; default 50. */
  readonly quiet?: number;
  readonly scheduler?: SchedulerLike;
}

export interface Manifests {
  readonly objects: readonly ClusterObject[];
  readonly warnings: readonly Warning[];
  /** Whether everything could be read. */
  readonly synced: boolean;
}

const MAX_BYTES = 64 * 2 ** 20;
const QUIET = 50;
/** Files that never are left alone are read anyway, after so many times the quiet time. */
const PATIENCE = 20;

/**
 * The first change comes once everything was read, also when nothing is there; `synced` is false in it, and in those
 * that follow, until every file could be parsed once. Never completes or fails; unsubscribe to end watching.
 */
export function directorySource(paths: readonly string[], options: DirectoryOptions = {}): Observable<ClusterChange> {
  return defer(() => {
    const notices = new Subject<void>();
    const watch = new FolderWatch(() => notices.next());
    const reading = new Reading(paths, options, watch);
    const timing = { quiet: options.quiet ?? QUIET, scheduler: options.scheduler ?? asyncScheduler };
    return settled(notices, { ...timing, atMost: timing.quiet * PATIENCE }).pipe(
      startWith(undefined),
      // One after the other: a notice that comes while files are read is for the next round.
      concatMap(() => reading.next()),
      filter((change) => change !== undefined),
      finalize(() => watch.close()),
    );
  });
}

/** Reads the manifests once. */
export async function readManifests(paths: readonly string[], options: DirectoryOptions = {}): Promise<Manifests> {
  const change = await new Reading(paths, options).next();
  const events = change?.events ?? [];
  return {
    objects: events.flatMap((event) => (event.type === 'upsert' ? [event.object] : [])),
    warnings: change?.warnings ?? [],
    synced: change?.synced ?? false,
  };
}

/** The manifests as they were read last, and reading them once more. */
class Reading {
  readonly #paths: readonly string[];
  readonly #options: DirectoryOptions;
  readonly #watch: FolderWatch | undefined;
  readonly #lastGood = new LastGood();
  #objects: ReadonlyMap<string, ClusterObject> = new Map();
  #warnings: readonly Warning[] = [];
  #synced = false;
  #first = true;

  constructor(paths: readonly string[], options: DirectoryOptions, watch?: FolderWatch) {
    this.#paths = paths;
    this.#options = options;
    this.#watch = watch;
  }

  /** What changed since the last reading; undefined when nothing did. The first is always a change. */
  async next(): Promise<ClusterChange | undefined> {
    const watch = this.#watch;
    const listing = await listManifests(this.#paths, {
      maxBytes: this.#options.maxBytes ?? MAX_BYTES,
      ...(watch && { onFolder: (folder: string, name?: string) => watch.add(folder, name) }),
    });
    watch?.settle();
    const inForce = this.#lastGood.update(listing);
    const { objects, warnings: found } = assemble(inForce.manifests, this.#options.allocate ?? true);
    const warnings = [...inForce.warnings, ...unwatched(watch), ...found];
    const events = eventsBetween(this.#objects, objects);
    const synced = this.#synced || inForce.complete;
    const same = events.length === 0 && synced === this.#synced && isDeepStrictEqual(warnings, this.#warnings);
    if (same && !this.#first) return undefined;
    this.#objects = objects;
    this.#warnings = warnings;
    this.#synced = synced;
    this.#first = false;
    return { events, warnings, synced, revision: revisionOf(objects) };
  }
}

/** Two processes that read the same manifests can tell by it that they did. */
function revisionOf(objects: ReadonlyMap<string, ClusterObject>): string {
  const hash = createHash('sha256');
  for (const key of [...objects.keys()].sort()) hash.update(`${key} ${JSON.stringify(objects.get(key))}\n`);
  return hash.digest('hex').slice(0, 12);
}

function unwatched(watch: FolderWatch | undefined): Warning[] {
  return [...(watch?.faults ?? [])].map(([folder, { message }]) => ({
    object: folder,
    field: '',
    message: `cannot be watched, changes in it go unseen: ${message}`,
  }));
}
