/**
 * What is known of one kind: the API's objects, put one by one, to the events by which their slim forms change.
 * A list is taken in as a whole: what it lacks is deleted, and its events belong to one step.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterEvent, ClusterObject, ObjectKey, Warning } from '../../model/cluster.ts';
import { type ParseResult, parseObject } from '../parse/object.ts';
import { ApiError } from './api-error.ts';
import type { Interning } from './interning.ts';
import { type RawObject, type Resource, rawKey, textKey } from './resources.ts';
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
  /** Of the texts that they were last put from. */
  readonly #digests = new Map<ObjectKey, number>();
  readonly #warnings = new Map<ObjectKey, readonly Warning[]>();
  /** While a list is taken in: what it held so far. */
  #seen: Set<ObjectKey> | undefined;
  /** Events of lists that are not whole yet; of one that broke off they wait for the next that does not. */
  #held: ClusterEvent[] = [];
  #synced = false;

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

  /**
   * Whether an object is known just as a text has it, so that putting it again would say nothing: most changes of a pod are
   * in fields that are not kept.
   */
  knows(text: string, digest: number): boolean {
    if (this.#seen !== undefined) return false;
    const key = textKey(text);
    return key !== undefined && this.#digests.get(key) === digest;
  }

  /**
   * @param digest of the text that the value is parsed from, where it says all that is known of the object
   * @throws {ApiError} code MALFORMED: it is no object of this kind
   */
  put(value: unknown, digest?: number): void {
    const raw = this.#check(value);
    const key = rawKey(this.resource, raw);
    this.#seen?.add(key);
    if (digest === undefined) this.#digests.delete(key);
    else this.#digests.set(key, digest);
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
    this.#digests.delete(key);
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
