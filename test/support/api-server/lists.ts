/** Lists, in pages that all show the version of the first one until that is compacted away. */
import type { ServerResponse } from 'node:http';
import type { ListOptions } from './list-options.ts';
import type { ApiObject } from './objects.ts';
import { expiredToken, failure, refuse, type Status, tooLarge } from './status.ts';
import type { Collection, Storage } from './storage.ts';

interface Snapshot {
  readonly version: number;
  readonly objects: readonly ApiObject[];
}

/** Where a page begins. */
interface Page {
  readonly snapshot: Snapshot;
  readonly start: number;
}

/** What a continue token says; clients must not look into it. */
interface Token {
  readonly rv: number;
  readonly start: number;
}

export class Lists {
  readonly #storage: Storage;
  /** That lists in pages still need: by collection, then by version. */
  readonly #snapshots = new Map<Collection, Map<number, Snapshot>>();

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  answer(collection: Collection, options: ListOptions, response: ServerResponse): void {
    const found = options.continue === '' ? this.#first(collection, options) : this.#next(collection, options);
    if ('code' in found) refuse(response, found);
    else this.#page(collection, options, found, response);
  }

  #page(collection: Collection, options: ListOptions, { snapshot, start }: Page, response: ServerResponse): void {
    const end = options.limit > 0 ? start + options.limit : snapshot.objects.length;
    const items = snapshot.objects.slice(start, end);
    const left = snapshot.objects.length - end;
    if (left > 0) this.#keep(collection, snapshot);
    const metadata = {
      resourceVersion: `${snapshot.version}`,
      ...(left > 0 && { continue: tokenOf({ rv: snapshot.version, start: end }) }),
      // "Servers older than v1.15 and requests with selectors do not say how many remain."
      ...(left > 0 && options.name === undefined && { remainingItemCount: left }),
    };
    const { kind, apiVersion } = collection.resource;
    response.writeHead(200, { 'content-type': 'application/json' });
    const head = JSON.stringify({ kind: `${kind}List`, apiVersion, metadata }).slice(0, -1);
    response.end(`${head},"items":[${items.map(itemText).join(',')}]}\n`);
  }

  #first(collection: Collection, { version, name, match }: ListOptions): Page | Status {
    const current = this.#storage.version;
    if (version !== undefined && version > current) return tooLarge(version, current);
    if (match === 'Exact' && version !== current)
      return failure(410, `The resourceVersion for the provided list is too old.`);
    const all = collection.sorted();
    // A list by name has one object at most, and so one page.
    const objects = name === undefined ? all : all.filter(({ metadata }) => metadata.name === name);
    return { snapshot: { version: current, objects }, start: 0 };
  }

  #next(collection: Collection, options: ListOptions): Page | Status {
    let token: Token;
    try {
      token = JSON.parse(Buffer.from(options.continue, 'base64url').toString());
    } catch {
      return failure(400, 'continue key is not valid');
    }
    const snapshot = this.#snapshots.get(collection)?.get(token.rv);
    if (snapshot === undefined || token.rv < this.#storage.compacted) {
      return expiredToken(tokenOf({ ...token, rv: this.#storage.version }));
    }
    return { snapshot, start: token.start };
  }

  #keep(collection: Collection, snapshot: Snapshot): void {
    const kept = this.#snapshots.get(collection) ?? new Map<number, Snapshot>();
    for (const version of kept.keys()) if (version < this.#storage.compacted) kept.delete(version);
    this.#snapshots.set(collection, kept.set(snapshot.version, snapshot));
  }
}

function tokenOf(token: Token): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** Items of a list do not say their type: the list's kind does. */
function itemText({ kind: _, apiVersion: __, ...item }: ApiObject): string {
  return JSON.stringify(item);
}
