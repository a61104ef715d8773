/** What can go wrong between the agent and the API server: one error with a stable code, and the words for it. */

export type ApiErrorCode =
  /** No connection, or none that answers. */
  | 'UNREACHABLE'
  /** Either side does not trust the other's certificate, or one speaks no TLS. */
  | 'CERTIFICATE'
  /** No credentials could be had: a kubeconfig, token file or exec plugin. */
  | 'CREDENTIALS'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'THROTTLED'
  /** The version asked for is forgotten: list again. */
  | 'EXPIRED'
  /** The server does not offer what was asked for. */
  | 'REFUSED'
  | 'SERVER'
  /** An answer that is none of the API. */
  | 'MALFORMED'
  /** A connection that worked ended. */
  | 'CUT'
  /** A connection that worked fell silent. */
  | 'SILENT';

export interface ApiErrorDetails {
  readonly cause?: unknown;
  /** How long the server asks to be left alone, in milliseconds. */
  readonly retryAfter?: number;
}

export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly retryAfter: number | undefined;

  constructor(code: ApiErrorCode, message: string, { cause, retryAfter }: ApiErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** A `Status` object, the API's answer to what it does not do; also the object of an event of type ERROR. */
export interface Status {
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly code?: unknown;
  readonly details?: { readonly causes?: unknown } | null;
}

/** @param status the HTTP status, or the code in the Status where there is none */
export function statusError(status: number, body: Status | undefined, retryAfter?: number): ApiError {
  const text = typeof body?.message === 'string' && body.message !== '' ? body.message : `status ${status}`;
  const details = retryAfter === undefined ? {} : { retryAfter };
  return new ApiError(codeOf(status, body), text, details);
}

function codeOf(status: number, body: Status | undefined): ApiErrorCode {
  const { reason, details } = body ?? {};
  if (status === 410 || reason === 'Expired' || reason === 'Gone') return 'EXPIRED';
  // The server has not come so far, or not any more: restored from a backup, it has forgotten our version too.
  const causes = Array.isArray(details?.causes) ? details.causes : [];
  if (causes.some((cause) => cause?.reason === 'ResourceVersionTooLarge')) return 'EXPIRED';
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'FORBIDDEN';
  if (status === 429) return 'THROTTLED';
  return status >= 400 && status < 500 ? 'REFUSED' : 'SERVER';
}

const TLS = /^(CERT_|ERR_TLS_|ERR_SSL_|EPROTO|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_OSSL_)/;

/** An error of Node's network as one of ours. */
export function networkError(cause: unknown, stage: 'open' | 'body'): ApiError {
  if (cause instanceof ApiError) return cause;
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  const text = `${message || code || cause}`;
  if (typeof code === 'string' && TLS.test(code)) return new ApiError('CERTIFICATE', text, { cause });
  return new ApiError(stage === 'open' ? 'UNREACHABLE' : 'CUT', text, { cause });
}

/** What happened and what to do about it, for a person. */
export function wordsFor({ code, message }: ApiError, plural: string): string {
  return ADVICE[code](message, plural);
}

const ADVICE: Readonly<Record<ApiErrorCode, (message: string, plural: string) => string>> = {
  UNREACHABLE: (message) =>
    `cannot be reached (${message}): check that it runs, its address, and the route and firewall from this node`,
  CERTIFICATE: (message) =>
    `no trusted connection (${message}): check the certificate authority in the kubeconfig, the server's name and dates, and the clock`,
  CREDENTIALS: (message) => `no credentials (${message}): check the kubeconfig, its files and its exec plugin`,
  UNAUTHORIZED: (message) =>
    `the credentials are not accepted (${message}): a token or certificate may have expired or been revoked; they are read anew at each attempt`,
  FORBIDDEN: (message, plural) =>
    `${message}: bind the agent's ServiceAccount to a ClusterRole with list and watch of ${plural}`,
  THROTTLED: (message, plural) => `asks for patience with ${plural} (${message}): the server is busy`,
  EXPIRED: (message, plural) => `forgets ${plural} faster than they can be listed (${message})`,
  REFUSED: (message, plural) => `refuses to list or watch ${plural} (${message}): is this the API server?`,
  SERVER: (message, plural) => `fails to list or watch ${plural} (${message}): see the API server's log`,
  MALFORMED: (message, plural) =>
    `an answer about ${plural} makes no sense (${message}), so all are listed again: look for a proxy between`,
  CUT: (message, plural) => `connections that watch ${plural} do not last (${message}): look for a proxy between`,
  SILENT: (message, plural) => `connections that watch ${plural} fall silent (${message}): look for a proxy between`,
};
