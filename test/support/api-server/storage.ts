/** What the test API server holds: objects with versions of one sequence, and of each kind the changes since the last compaction. */
import { randomUUID } from 'node:crypto';
import { type ApiObject, type ApiResource, keyOf, RESOURCES, resourceOf } from './objects.ts';

export interface StoredEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: ApiObject;
}

export class Collection {
  readonly resource: ApiResource;
  readonly objects = new Map<string, ApiObject>();
  /** In the order of their versions. */
  events: StoredEvent[] = [];
  /** Version of the last event that was dropped. */
  dropped = 0;
  readonly listeners = new Set<() => void>();
  #sorted: readonly ApiObject[] | undefined;

  constructor(resource: ApiResource) {
    this.resource = resource;
  }

  /** The objects in the order of their keys: a list as of now, which later changes leave alone. */
  sorted(): readonly ApiObject[] {
    this.#sorted ??= [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
    return this.#sorted;
  }

  record(event: StoredEvent): void {
    const key = keyOf(event.object);
    if (event.type === 'DELETED') this.objects.delete(key);
    else this.objects.set(key, event.object);
    this.#sorted = undefined;
    this.events.push(event);
  }

  drop(count: number): void {
    this.dropped = this.events[count - 1]?.version ?? this.dropped;
    this.events = this.events.slice(count);
  }

  /** The events after a version. */
  after(version: number): StoredEvent[] {
    let from = this.events.length;
    while (from > 0 && (this.events[from - 1] as StoredEvent).version > version) from--;
    return this.events.slice(from);
  }
}

export class Storage {
  readonly collections = new Map(RESOURCES.map((resource) => [resource.plural, new Collection(resource)]));
  readonly #historyLimit: number;
  #version = 1000;
  #compacted = 0;

  /** @param historyLimit events of a kind that are kept at least; twice as many at most */
  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
  }

  get version(): number {
    return this.#version;
  }

  /** Versions below this are forgotten. */
  get compacted(): number {
    return this.#compacted;
  }

  collection(kind: string): Collection {
    return this.collections.get(resourceOf(kind).plural) as Collection;
  }

  get(kind: string, key: string): ApiObject | undefined {
    return this.collection(kind).objects.get(key);
  }

  /** Creates or replaces; what is equal in every part but its version makes a new version too, as an update of a status does. */
  put(object: ApiObject): ApiObject {
    const collection = this.collection(object.kind);
    const before = collection.objects.get(keyOf(object));
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? randomUUID(),
      creationTimestamp: before?.metadata.creationTimestamp ?? '2026-01-01T00:00:00Z',
    };
    return this.#record(collection, before === undefined ? 'ADDED' : 'MODIFIED', { ...object, metadata });
  }

  delete(kind: string, key: string): ApiObject {
    const collection = this.collection(kind);
    const before = collection.objects.get(key);
    if (before === undefined) throw new Error(`there is no ${kind} ${key}`);
    return this.#record(collection, 'DELETED', before);
  }

  /** Forgets all changes up to now: who has not seen them must list. */
  compact(): void {
    this.#compacted = this.#version;
    for (const collection of this.collections.values()) collection.drop(collection.events.length);
  }

  #record(collection: Collection, type: StoredEvent['type'], object: ApiObject): ApiObject {
    const version = ++this.#version;
    // "The object of a DELETED event is its last state", with the version of the deletion.
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: `${version}` } };
    collection.record({ version, type, object: stored });
    if (collection.events.length > 2 * this.#historyLimit) {
      collection.drop(collection.events.length - this.#historyLimit);
      this.#compacted = Math.max(this.#compacted, collection.dropped);
    }
    for (const listener of collection.listeners) listener();
    return stored;
  }
}
