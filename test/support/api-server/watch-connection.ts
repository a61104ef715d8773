/** One open watch of the test API server: what was there first if that was asked for, then each change as it happens. */
import type { ServerResponse } from 'node:http';
import { type ListOptions, selects } from './list-options.ts';
import type { ApiObject } from './objects.ts';
import { expiredVersion, type Status } from './status.ts';
import type { Collection, Storage } from './storage.ts';

export interface WatchParts {
  readonly storage: Storage;
  readonly collection: Collection;
  readonly options: ListOptions;
  readonly response: ServerResponse;
  /** Bytes of each write; 0 for whatever there is. */
  readonly trickle: number;
}

/** Initial events that are written at once. */
const BATCH = 500;

export class WatchConnection {
  readonly #parts: WatchParts;
  readonly #pump = () => this.#sendEvents();
  /** Everything up to this version was sent. */
  #sent = 0;
  #initial = true;
  #stalled = false;
  /** Goes on with the initial events, when the connection takes more. */
  #resume = () => {};
  #cutNext = false;
  #ending = false;
  #pieces: Buffer[] = [];
  #trickling = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    parts.collection.listeners.add(this.#pump);
    parts.response.on('drain', () => this.#resume());
    parts.response.once('close', () => {
      this.#leave();
      this.#resume();
    });
  }

  get plural(): string {
    return this.#parts.collection.resource.plural;
  }

  async start(): Promise<void> {
    const { storage, collection, options, response } = this.#parts;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (options.timeoutSeconds !== undefined) {
      const timer = setTimeout(() => this.end(), options.timeoutSeconds * 1000);
      response.once('close', () => clearTimeout(timer));
    }
    const { version } = options;
    // "Get State and Start": without a version, or with 0, what is there comes first, as events of type ADDED.
    const fromState = options.sendInitialEvents || version === undefined || version === 0;
    this.#sent = fromState ? storage.version : version;
    if (fromState) await this.#sendState(collection.sorted());
    this.#initial = false;
    if (!fromState && version < storage.compacted) this.fail(expiredVersion(version, storage.compacted));
    else this.#pump();
  }

  /** A bookmark: nothing else than the version up to which everything was sent. */
  bookmark(annotations?: Readonly<Record<string, string>>): void {
    const { storage, collection, options } = this.#parts;
    if (!options.bookmarks || this.#initial !== (annotations !== undefined)) return;
    // Who asked for what comes after a version that is still to come hears nothing until then.
    if (this.#sent > storage.version) return;
    if (annotations === undefined) this.#sent = Math.max(this.#sent, storage.version);
    const { kind, apiVersion } = collection.resource;
    const metadata = { resourceVersion: `${this.#sent}`, creationTimestamp: null, ...(annotations && { annotations }) };
    this.#event('BOOKMARK', { kind, apiVersion, metadata });
  }

  /** An event of type ERROR, after which the server ends the watch. */
  fail(status: Status): void {
    this.#event('ERROR', status);
    this.end();
  }

  /** Text that is no event of the API, or less than one. */
  raw(text: string): void {
    this.#write(text);
  }

  /** The watch ends as it does when its time is up. */
  end(): void {
    this.#leave();
    this.#ending = true;
    if (!this.#trickling) this.#parts.response.end();
  }

  /** The connection breaks off. */
  cut(): void {
    this.#leave();
    this.#parts.response.destroy();
  }

  /** The connection breaks off in the middle of the next event. */
  cutInNextEvent(): void {
    this.#cutNext = true;
  }

  /** Nothing is sent any more, as over a connection whose other end has died. */
  stall(): void {
    this.#stalled = true;
  }

  async #sendState(objects: readonly ApiObject[]): Promise<void> {
    const { options, response } = this.#parts;
    let count = 0;
    for (const object of objects) {
      if (!selects(options, object)) continue;
      this.#event('ADDED', object);
      if (++count % BATCH > 0 || response.destroyed || !response.writableNeedDrain) continue;
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
    }
    if (options.sendInitialEvents) this.bookmark({ 'k8s.io/initial-events-end': 'true' });
  }

  #sendEvents(): void {
    const { collection, options, storage } = this.#parts;
    if (this.#initial || this.#stalled) return;
    if (this.#sent < collection.dropped) {
      this.fail(expiredVersion(this.#sent, storage.compacted));
      return;
    }
    for (const { type, object, version } of collection.after(this.#sent)) {
      this.#sent = version;
      if (!selects(options, object)) continue;
      if (this.#cutNext) {
        this.#cutWithin(JSON.stringify({ type, object }));
        return;
      }
      this.#event(type, object);
    }
  }

  #cutWithin(line: string): void {
    const { response } = this.#parts;
    this.#leave();
    this.#ending = true;
    response.write(line.slice(0, line.length / 2), () => response.destroy());
  }

  #event(type: string, object: object): void {
    this.#write(`${JSON.stringify({ type, object })}\n`);
  }

  #write(text: string): void {
    const { response, trickle } = this.#parts;
    if (this.#stalled || this.#ending || response.destroyed) return;
    if (trickle === 0) {
      response.write(text);
      return;
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += trickle) this.#pieces.push(bytes.subarray(at, at + trickle));
    this.#trickle();
  }

  #trickle(): void {
    if (this.#trickling) return;
    const piece = this.#pieces.shift();
    this.#trickling = piece !== undefined;
    if (piece === undefined) {
      if (this.#ending) this.#parts.response.end();
      return;
    }
    this.#parts.response.write(piece, () => {
      this.#trickling = false;
      setImmediate(() => this.#trickle());
    });
  }

  #leave(): void {
    this.#parts.collection.listeners.delete(this.#pump);
  }
}
