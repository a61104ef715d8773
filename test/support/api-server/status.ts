/** The API's Status objects, in the words of the real server as far as they are documented. */
import type { ServerResponse } from 'node:http';
import type { ApiResource } from './objects.ts';

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly continue?: string };
  readonly status: 'Failure';
  readonly message: string;
  /** Absent of what no part of the server has made a Status of. */
  readonly reason?: string;
  readonly details?: object;
  readonly code: number;
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

export function failure(code: number, message: string, details?: object): Status {
  const reason = REASONS[code] ?? 'Unknown';
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' } as const;
  return { ...head, message, reason, ...(details && { details }), code };
}

export function expiredVersion(version: number, oldest: number): Status {
  return failure(410, `too old resource version: ${version} (${oldest})`);
}

/** @param goesOn a token for the rest of the list as it is now, for who can do with half of each version */
export function expiredToken(goesOn: string): Status {
  const message = 'The provided continue parameter is too old to display a consistent list result.';
  return { ...failure(410, message), metadata: { continue: goesOn } };
}

/** What a number that cannot be read comes to. */
export function unreadable(text: string): Status {
  const { reason: _, ...rest } = failure(500, `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  return rest;
}

export function tooLarge(version: number, current: number): Status {
  return failure(504, `Too large resource version: ${version}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

/** @param faults the forbidden fields, each with why */
export function invalidOptions(...faults: readonly (readonly [field: string, message: string])[]): Status {
  const causes = faults.map(([field, message]) => {
    return { reason: 'FieldValueForbidden', message: `Forbidden: ${message}`, field };
  });
  const text = causes.map(({ field, message }) => `${field}: ${message}`);
  return failure(422, `ListOptions.meta.k8s.io "" is invalid: ${text.length > 1 ? `[${text.join(', ')}]` : text[0]}`, {
    group: 'meta.k8s.io',
    kind: 'ListOptions',
    causes,
  });
}

export function forbidden(user: string, verb: string, { plural, group }: ApiResource): Status {
  const message = `${plural}${group && `.${group}`} is forbidden: User "${user}" cannot ${verb} resource "${plural}" in API group "${group}" at the cluster scope`;
  return failure(403, message, { kind: plural, ...(group && { group }) });
}

export function refuse(response: ServerResponse, status: Status, headers: Readonly<Record<string, string>> = {}): void {
  const body = JSON.stringify(status);
  response.writeHead(status.code, { 'content-type': 'application/json', ...headers });
  response.end(body);
}
