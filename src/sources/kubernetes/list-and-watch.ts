/**
 * Follows one kind at the API server, for good: lists it, as a stream where the server has that and in pages where not,
 * watches from the list's version on, resumes from the last version seen, and lists again when that is forgotten.
 */
import type { SchedulerLike, Subject, Subscription } from 'rxjs';
import type { Kind } from '../../model/cluster.ts';
import type { ApiConnection } from './api-connection.ts';
import { ApiError, type ApiErrorCode } from './api-error.ts';
import { delayAfter, wait } from './back-off.ts';
import { eachLine } from './chunks.ts';
import { digestOf } from './digest.ts';
import type { Faults } from './faults.ts';
import type { KnownObjects } from './known-objects.ts';
import { listPages } from './list-pages.ts';
import { eventIn, slimLine, type WatchEvent, watchQuery } from './watch-events.ts';

/** All in milliseconds. */
export interface Timing {
  /** The first back-off and the longest. */
  readonly first: number;
  readonly most: number;
  /** An exec plugin gives its credentials within this. */
  readonly credentials: number;
  /** The server begins its answer within this. */
  readonly answer: number;
  /** Longest silence in a list. */
  readonly listSilence: number;
  /** Longest silence in a watch: bookmarks come about every minute. */
  readonly watchSilence: number;
  /** How long one watch lasts; up to twice this, so that not all end at once. */
  readonly watch: number;
  /** A watch that lasted this long has proven itself. */
  readonly proven: number;
}

export interface ListAndWatchParts {
  readonly connection: ApiConnection;
  readonly objects: KnownObjects;
  readonly faults: Faults;
  readonly timing: Timing;
  readonly scheduler: SchedulerLike;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Objects on a page of a list. */
  readonly pageSize: number;
  /** The server answers again: whoever waits because it did not need not wait longer. */
  readonly reached: Subject<void>;
  /** Called with every word of the server about a kind, bookmarks too. */
  readonly onHeard: (kind: Kind) => void;
}

const LARGEST_PAGE = 1_600;
/** These happen; they are said when they happen so many times in a row. */
const USUAL: readonly ApiErrorCode[] = ['CUT', 'SILENT', 'EXPIRED'];
const PATIENCE = 3;
/** What we know cannot be built on. */
const ANEW: readonly ApiErrorCode[] = ['EXPIRED', 'MALFORMED', 'REFUSED'];
/** The same for all kinds, so that one who gets through speaks for all. */
const OF_THE_SERVER: readonly ApiErrorCode[] = ['UNREACHABLE', 'CUT', 'SILENT', 'SERVER'];

export class ListAndWatch {
  readonly #parts: ListAndWatchParts;
  readonly #signal: AbortSignal;
  /** To watch from; undefined: a list must come first. */
  #version: string | undefined;
  /** Whether the next list comes as a stream; after one that was refused or broke off, one in pages is tried. */
  #streams = true;
  #pageSize: number;
  /** Whether a watch is. */
  #open = false;
  /** Whether it lasted long enough; the timer that says so. */
  #lasted = false;
  #proof: Subscription | undefined;
  /** Whether nothing came over it yet. */
  #quiet = true;
  #failures = 0;
  /** The last fault came over a watch that had opened well: that another opens clears nothing. */
  #doubted = false;

  constructor(parts: ListAndWatchParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.#pageSize = parts.pageSize;
  }

  /** Resolves when the signal aborts; rejects only by a fault of this program. */
  async run(): Promise<void> {
    const { scheduler, reached } = this.#parts;
    while (!this.#signal.aborted) {
      try {
        if (this.#version === undefined && !this.#streams) await this.#list();
        await this.#watch();
      } catch (error) {
        if (this.#signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        const delay = this.#failed(error);
        const wake = OF_THE_SERVER.includes(error.code) && { wake: reached };
        if (delay > 0) await wait({ delay, scheduler, signal: this.#signal, ...wake });
      } finally {
        this.#proof?.unsubscribe();
        this.#open = false;
      }
    }
  }

  async #list(): Promise<void> {
    const { connection, objects, timing, scheduler } = this.#parts;
    const read = { limit: this.#pageSize, silence: timing.listSilence, scheduler, signal: this.#signal };
    this.#version = await listPages({ connection, objects, ...read });
    this.#parts.onHeard(objects.resource.kind);
    this.#listed();
  }

  async #watch(): Promise<void> {
    const { connection, objects, scheduler, timing, random } = this.#parts;
    const seconds = Math.round((timing.watch * (1 + random())) / 1000);
    const query = watchQuery(objects.resource, this.#version, seconds);
    const response = await connection.get(objects.resource.path, query, this.#signal);
    this.#open = true;
    this.#lasted = false;
    this.#quiet = true;
    if (this.#version !== undefined) this.#watching();
    else {
      this.#streams = false;
      objects.beginList();
    }
    const silence = () => (this.#version === undefined ? timing.listSilence : timing.watchSilence);
    await eachLine(response, { silence, scheduler }, (line) => this.#takeLine(line));
    if (this.#version === undefined) throw new ApiError('CUT', 'a streamed list ended before it was whole');
    // "timeoutSeconds" ends a watch now and then; what ends at once must not be opened again in a tight loop.
    if (!this.#lasted) throw new ApiError('CUT', 'a watch ended as soon as it had begun');
  }

  #takeLine(line: Buffer): void {
    const { objects, onHeard } = this.#parts;
    onHeard(objects.resource.kind);
    const slim = slimLine(line, objects.resource);
    if (slim === undefined) {
      this.#take(eventIn(line));
      return;
    }
    const { type, version, text } = slim;
    const digest = type === 'DELETED' ? undefined : digestOf(text);
    const repeats = digest !== undefined && this.#version !== undefined && objects.knows(text, digest);
    if (repeats && version !== undefined) this.#reach(version);
    else this.#take(eventIn(line, slim), digest);
  }

  #take({ type, object, version, endsInitial }: WatchEvent, digest?: number): void {
    const { objects } = this.#parts;
    if (type === 'DELETED') objects.remove(object);
    else if (type !== 'BOOKMARK') objects.put(object, digest);
    if (this.#version !== undefined) this.#reach(version);
    else if (endsInitial) {
      // Only this names the list's version: the objects bear those of their own last changes, in no order.
      objects.endList();
      this.#version = version;
      this.#listed();
      this.#watching();
    }
  }

  #reach(version: string): void {
    this.#version = version;
    this.#quiet = false;
    this.#proven();
  }

  #listed(): void {
    this.#streams = true;
    this.#pageSize = this.#parts.pageSize;
    this.#answered();
  }

  #watching(): void {
    const { scheduler, timing } = this.#parts;
    this.#answered();
    this.#proof = scheduler.schedule(() => {
      this.#lasted = true;
      this.#proven();
    }, timing.proven);
  }

  #answered(): void {
    const { faults, objects, reached } = this.#parts;
    if (!this.#doubted) faults.clear(objects.resource);
    if (this.#failures > 0) reached.next();
  }

  #proven(): void {
    this.#failures = 0;
    this.#doubted = false;
    this.#parts.faults.clear(this.#parts.objects.resource);
  }

  /** @returns how long to wait before the next attempt, in milliseconds */
  #failed(error: ApiError): number {
    const { connection, faults, objects, timing, random } = this.#parts;
    const { code } = error;
    const listing = this.#version === undefined;
    // A server without streamed lists says that the parameters are not valid.
    if (code === 'REFUSED' && listing && this.#streams) {
      this.#streams = false;
      return 0;
    }
    this.#failures++;
    if (code === 'EXPIRED' && listing) this.#pageSize = Math.min(LARGEST_PAGE, this.#pageSize * 4);
    // A watch that never said anything, not even in a bookmark, may never do: servers have been seen to forget them.
    if (ANEW.includes(code) || (code === 'SILENT' && this.#quiet)) this.#version = undefined;
    if (!USUAL.includes(code) || this.#failures >= PATIENCE) {
      this.#doubted = this.#open;
      faults.set(objects.resource, connection.server, error);
    }
    if (code === 'EXPIRED' && this.#failures === 1) return 0;
    const delay = delayAfter(this.#failures, { first: timing.first, most: timing.most, random });
    return Math.max(delay, Math.min(error.retryAfter ?? 0, timing.most));
  }
}
