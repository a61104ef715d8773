/** A watch: the request that opens it, and the lines of its answer to events. */
import type { Query } from './api-connection.ts';
import { ApiError, type Status, statusError } from './api-error.ts';
import type { RawObject, Resource } from './resources.ts';
import { type Skimmed, skim } from './skim.ts';

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: RawObject;
  /** After this event the collection is as it was at this version, unless the initial events are still coming. */
  readonly version: string;
  /** A bookmark behind the last initial event. */
  readonly endsInitial: boolean;
}

const CLOSE_BRACE = 0x7d;
const TYPES: readonly string[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'];
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/**
 * @param version to watch from; undefined: the objects that are there come first, as events
 * @param seconds how long the server shall keep the watch
 */
export function watchQuery({ fieldSelector }: Resource, version: string | undefined, seconds: number): Query {
  return {
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: `${seconds}`,
    fieldSelector,
    // "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"; without a version the read is consistent.
    ...(version === undefined
      ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
      : { resourceVersion: version }),
  };
}

/** So begins a line with an object of the collection, not with what the server says itself; its end is the event's bracket. */
const WITH_OBJECT = /^\{"type":"(ADDED|MODIFIED|DELETED)","object":/;
const LONGEST_BEGINNING = 28;

/** A line with an object of the collection. */
export interface SlimLine extends Skimmed {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** As far as it is plain to see. */
  readonly version?: string;
}

/** @returns what is kept of the line's object; undefined: the line is no such, or has to be parsed whole */
export function slimLine(line: Buffer, { kept }: Pick<Resource, 'kept'>): SlimLine | undefined {
  if (kept === undefined) return undefined;
  const [beginning, type] = WITH_OBJECT.exec(line.toString('latin1', 0, LONGEST_BEGINNING)) ?? [];
  if (beginning === undefined || line.at(-1) !== CLOSE_BRACE) return undefined;
  const skimmed = skim(line.subarray(beginning.length, -1), kept);
  if (skimmed === undefined) return undefined;
  const version = /^"([^"\\]+)"$/.exec(skimmed.aside ?? '')?.[1];
  return { ...skimmed, type: type as SlimLine['type'], ...(version !== undefined && { version }) };
}

/**
 * @param slim what is kept of the line; absent: all of it
 * @throws {ApiError} what the server says in an event of type ERROR, or code MALFORMED
 */
export function eventIn(line: Buffer, slim?: SlimLine): WatchEvent {
  let value: unknown;
  let aside: unknown;
  try {
    value = slim === undefined ? JSON.parse(line.toString('utf8')) : { type: slim.type, object: JSON.parse(slim.text) };
    aside = slim?.aside && JSON.parse(slim.aside);
  } catch (cause) {
    throw new ApiError('MALFORMED', `a line that is no JSON: ${beginningOf(line)}`, { cause });
  }
  const { type, object } = (value ?? {}) as { type?: unknown; object?: Partial<RawObject> & Status };
  if (typeof type !== 'string' || typeof object !== 'object' || object === null) {
    throw new ApiError('MALFORMED', `a line that is no event: ${beginningOf(line)}`);
  }
  if (type === 'ERROR') throw statusError(Number(object.code) || 500, object);
  const version = aside ?? object.metadata?.resourceVersion;
  if (!TYPES.includes(type) || typeof version !== 'string' || version === '') {
    throw new ApiError('MALFORMED', `an event ${JSON.stringify(type)} of version ${JSON.stringify(version)}`);
  }
  return {
    type: type as WatchEvent['type'],
    object: object as RawObject,
    version,
    endsInitial: type === 'BOOKMARK' && object.metadata?.annotations?.[INITIAL_EVENTS_END] === 'true',
  };
}

function beginningOf(line: Buffer): string {
  return JSON.stringify(line.toString('utf8').slice(0, 80));
}
