/** The query of a list or watch, checked as the API server checks it. */
import type { ApiObject } from './objects.ts';
import { failure, invalidOptions, type Status, unreadable } from './status.ts';

export interface ListOptions {
  readonly watch: boolean;
  readonly limit: number;
  readonly continue: string;
  /** Undefined: not given. */
  readonly version: number | undefined;
  readonly match: string;
  readonly sendInitialEvents: boolean;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
  /** By `metadata.name`; undefined: all. */
  readonly name: string | undefined;
}

const NOT_OLDER = 'NotOlderThan';
/** Everything else that a client sends is a mistake of the client. */
const KNOWN = [
  'watch',
  'limit',
  'continue',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'allowWatchBookmarks',
  'timeoutSeconds',
  'fieldSelector',
];

/** @param streams whether the server has streamed lists */
export function listOptions(query: URLSearchParams, streams: boolean): ListOptions | Status {
  for (const name of query.keys()) if (!KNOWN.includes(name)) return failure(400, `unknown parameter ${name}`);
  const version = query.get('resourceVersion') ?? '';
  const selector = query.get('fieldSelector');
  const byName = /^metadata\.name=([^,=]+)$/.exec(selector ?? '')?.[1];
  if (!/^\d*$/.test(version)) return unreadable(version);
  if (selector && byName === undefined) return failure(400, `field selector not supported: ${selector}`);
  const options: ListOptions = {
    watch: /^(true|1)$/.test(query.get('watch') ?? ''),
    limit: Number(query.get('limit') ?? 0),
    continue: query.get('continue') ?? '',
    version: version === '' ? undefined : Number(version),
    match: query.get('resourceVersionMatch') ?? '',
    sendInitialEvents: query.get('sendInitialEvents') === 'true',
    bookmarks: /^(true|1)$/.test(query.get('allowWatchBookmarks') ?? ''),
    timeoutSeconds: query.has('timeoutSeconds') ? Number(query.get('timeoutSeconds')) : undefined,
    name: byName,
  };
  return (options.watch ? watchFault(options, streams) : listFault(options)) ?? options;
}

function watchFault({ sendInitialEvents, match }: ListOptions, streams: boolean): Status | undefined {
  const faults: [string, string][] = [];
  if (sendInitialEvents && match !== NOT_OLDER) {
    faults.push(['resourceVersionMatch', `sendInitialEvents requires setting resourceVersionMatch to ${NOT_OLDER}`]);
  }
  if (sendInitialEvents && !streams) {
    const message = 'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
    faults.push(['sendInitialEvents', message]);
  }
  if (match !== '' && !sendInitialEvents) {
    const message = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
    faults.push(['resourceVersionMatch', message]);
  }
  return faults.length === 0 ? undefined : invalidOptions(...faults);
}

function listFault({ sendInitialEvents, match, version, continue: token }: ListOptions): Status | undefined {
  if (sendInitialEvents) return invalidOptions(['sendInitialEvents', 'sendInitialEvents is forbidden for list']);
  if (match !== '' && version === undefined) {
    return invalidOptions([
      'resourceVersionMatch',
      'resourceVersionMatch is forbidden unless resourceVersion is provided',
    ]);
  }
  if (token !== '' && version !== undefined && version !== 0) {
    return failure(400, 'specifying resource version is not allowed when using continue');
  }
  return undefined;
}

export function isFault(options: ListOptions | Status): options is Status {
  return 'code' in options;
}

export function selects({ name }: ListOptions, { metadata }: ApiObject): boolean {
  return name === undefined || name === metadata.name;
}
