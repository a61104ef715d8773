/** One list, page after page, taken in object by object; all pages together show one version of the collection. */
import { StringDecoder } from 'node:string_decoder';
import type { SchedulerLike } from 'rxjs';
import type { ApiConnection } from './api-connection.ts';
import { ApiError } from './api-error.ts';
import { chunksOf } from './chunks.ts';
import type { KnownObjects } from './known-objects.ts';

export interface ListRequest {
  readonly connection: ApiConnection;
  readonly objects: KnownObjects;
  /** Objects on a page. */
  readonly limit: number;
  /** Longest silence within a page, in milliseconds. */
  readonly silence: number;
  readonly scheduler: SchedulerLike;
  readonly signal: AbortSignal;
}

interface Page {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly unknown[];
}

/**
 * @returns the version from which a watch sees everything that comes after the list
 * @throws {ApiError} code EXPIRED: the server forgot the list's version before the last page was asked for
 */
export async function listPages(request: ListRequest): Promise<string> {
  const { connection, objects, limit, signal } = request;
  const { path, fieldSelector } = objects.resource;
  objects.beginList();
  let token: string | undefined;
  for (;;) {
    const response = await connection.get(path, { limit: `${limit}`, continue: token, fieldSelector }, signal);
    const decoder = new StringDecoder('utf8');
    let text = '';
    for await (const chunk of chunksOf(response, () => request.silence, request.scheduler))
      text += decoder.write(chunk);
    const { metadata, items } = pageIn(text);
    for (const item of items) objects.put(item);
    token = metadata.continue;
    if (token) continue;
    objects.endList();
    return metadata.resourceVersion;
  }
}

function pageIn(text: string): Page {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ApiError('MALFORMED', `a list that is no JSON: ${(cause as Error).message}`, { cause });
  }
  const { metadata, items } = (value ?? {}) as { metadata?: Partial<Page['metadata']>; items?: unknown };
  const version = metadata?.resourceVersion;
  if (typeof version !== 'string' || version === '') {
    throw new ApiError('MALFORMED', 'a list without a resourceVersion');
  }
  // Go writes a list without elements as null.
  if (items !== null && items !== undefined && !Array.isArray(items)) {
    throw new ApiError('MALFORMED', 'a list whose items are none');
  }
  return { metadata: { ...metadata, resourceVersion: version }, items: items ?? [] };
}
