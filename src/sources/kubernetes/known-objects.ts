/**
 * What is known of one kind: the API's objects, put one by one, to the events by which their slim forms change.
 * A list is taken in as a whole: what it lacks is deleted, and its events belong to one step.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterEvent, ClusterObject, ObjectKey, Warning } from '../../model/cluster.ts';
import { type ParseResult, parseObject } from '../parse/object.ts';
import { ApiError } from './api-error.ts';
import type { Interning } from './interning.ts';
import { Repeats } from './repeats.ts';
import { type RawObject, type Resource, rawKey } from './resources.ts';
import { isSame } from './same.ts';

export interface KnownParts {
  readonly resource: Resource;
  readonly interning: Interning;
  /** Takes the events of one step. */
  readonly onEvents: (events: readonly ClusterEvent[]) => void;
  readonly onWarnings: () => void;
}

export class KnownObjects {
  readonly resource: Resource;
  readonly #parts: KnownParts;
  readonly #objects = new Map<ObjectKey, ClusterObject>();
  readonly #warnings = new Map<ObjectKey, readonly Warning[]>();
  /** While a list is taken in: what it held so far. */
  #seen: Set<ObjectKey> | undefined;
  /** Events of lists that are not whole yet; of one that broke off they wait for the next that does not. */
  #held: ClusterEvent[] = [];
  #synced = false;
  readonly #repeats = new Repeats();

  constructor(parts: KnownParts) {
    this.resource = parts.resource;
    this.#parts = parts;
  }

  /** Whether a whole list was taken in once. */
  get synced(): boolean {
    return this.#synced;
  }

  get size(): number {
    return this.#objects.size;
  }

  warnings(): Warning[] {
    return [...this.#warnings.values()].flat();
  }

  /** From here to `endList` each object is one of a whole list. */
  beginList(): void {
    this.#seen = new Set();
  }

  endList(): void {
    const seen = this.#seen ?? new Set();
    this.#seen = undefined;
    for (const key of this.#objects.keys()) if (!seen.has(key)) this.#forget(key);
    for (const key of this.#warnings.keys()) if (!seen.has(key)) this.#warn(key, []);
    const events = this.#held;
    this.#held = [];
    this.#synced = true;
    this.#parts.onEvents(events);
  }

  /** Whether an object is known just as this text has it, so that putting it again would say nothing. */
  knows(text: string): boolean {
    return this.#seen === undefined && this.#repeats.has(text);
  }

  /**
   * @param text that the value is parsed from, where it says all that is known of the object
   * @throws {ApiError} code MALFORMED: it is no object of this kind
   */
  put(value: unknown, text?: string): void {
    const raw = this.#check(value);
    const key = rawKey(this.resource, raw);
    this.#seen?.add(key);
    // While a list comes, all objects do, each once.
    this.#repeats.note(key, this.#seen === undefined ? text : undefined);
    const { parsed, warnings }: ParseResult = parseObject(raw, {}, this.resource.type);
    if (warnings.length > 0 || this.#warnings.size > 0) this.#warn(key, warnings);
    // One that is not valid is absent.
    if (parsed.type !== 'object' && parsed.type !== 'pod') this.#forget(key);
    else this.#keep(key, parsed.object);
  }

  /** @throws {ApiError} code MALFORMED: it is no object of this kind */
  remove(value: unknown): void {
    const key = rawKey(this.resource, this.#check(value));
    this.#seen?.delete(key);
    this.#warn(key, []);
    this.#forget(key);
  }

  #keep(key: ObjectKey, object: ClusterObject): void {
    // Most changes of a pod, a node's heartbeats too, are in fields that are not kept: they end here.
    if (isSame(this.#objects.get(key), object)) return;
    const shared = this.#parts.interning.share(object);
    this.#objects.set(key, shared);
    this.#tell({ type: 'upsert', object: shared });
  }

  #forget(key: ObjectKey): void {
    this.#repeats.note(key, undefined);
    if (this.#objects.delete(key)) this.#tell({ type: 'delete', kind: this.resource.kind, key });
  }

  #tell(event: ClusterEvent): void {
    // The first list is not in force before it is whole anyway; later ones must not be seen by half.
    if (this.#synced && this.#seen !== undefined) this.#held.push(event);
    else this.#parts.onEvents([event]);
  }

  #warn(key: ObjectKey, warnings: readonly Warning[]): void {
    if (isDeepStrictEqual(this.#warnings.get(key) ?? [], warnings)) return;
    if (warnings.length === 0) this.#warnings.delete(key);
    else this.#warnings.set(key, warnings);
    this.#parts.onWarnings();
  }

  #check(value: unknown): RawObject {
    const { kind, metadata } = (value ?? {}) as Partial<RawObject>;
    const named = typeof metadata?.name === 'string' && metadata.name !== '';
    if (named && (kind === undefined || kind === this.resource.kind)) return value as RawObject;
    const what = `${kind ?? 'an object'} ${named ? JSON.stringify(metadata.name) : 'without a name'}`;
    throw new ApiError('MALFORMED', `${what} where a ${this.resource.kind} belongs`);
  }
}
