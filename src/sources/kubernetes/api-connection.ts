/** Requests to the API server: a path and a query to the stream of a good answer, or to an error that says what was wrong. */
import http, { type Agent, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import type { SchedulerLike } from 'rxjs';
import { ApiError, type ApiErrorCode, networkError, type Status, statusError } from './api-error.ts';
import { chunksOf } from './chunks.ts';
import type { Access, Credentials, Tls } from './credentials.ts';
import { SharedAccess } from './shared-access.ts';

export type Query = Readonly<Record<string, string | undefined>>;

export interface ConnectionOptions {
  readonly load: () => Promise<Credentials>;
  readonly scheduler: SchedulerLike;
  /** How long an exec plugin may take, in milliseconds. */
  readonly credentialsWithin: number;
  /** How long the server may take to begin an answer, in milliseconds. */
  readonly answerWithin: number;
}

/** With other credentials it may go better. */
const OF_CREDENTIALS: readonly ApiErrorCode[] = ['UNAUTHORIZED', 'CERTIFICATE', 'CREDENTIALS'];
/** Of the body of a refusal. */
const MOST_BYTES = 64 * 1024;
const USER_AGENT = 'selvedge';

export class ApiConnection {
  readonly #options: ConnectionOptions;
  readonly #access: SharedAccess;
  #credentials: Promise<Credentials> | undefined;
  #agent: { readonly tls: Tls; readonly agent: Agent } | undefined;
  #server = '';

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#access = new SharedAccess({ scheduler: options.scheduler, within: options.credentialsWithin });
  }

  /** URL of the server, empty until it is known. */
  get server(): string {
    return this.#server;
  }

  /**
   * @returns the answer with status 200, its body unread
   * @throws {ApiError} anything else
   */
  async get(path: string, query: Query, signal: AbortSignal): Promise<IncomingMessage> {
    this.#credentials ??= this.#load();
    const used = this.#credentials;
    try {
      const credentials = await used;
      const access = await this.#access.of(credentials, signal);
      signal.throwIfAborted();
      const response = await this.#open(urlOf(credentials.server, path, query), access, signal);
      if (response.statusCode === 200) return response;
      throw await this.#refusal(response);
    } catch (error) {
      // Loaded anew before the next request: a file may have been replaced, a plugin may give others.
      const theirs = error instanceof ApiError && OF_CREDENTIALS.includes(error.code);
      if (theirs && this.#credentials === used && !this.#access.pending) this.#credentials = undefined;
      throw error;
    }
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  async #load(): Promise<Credentials> {
    const credentials = await this.#options.load();
    this.#server = credentials.server;
    return credentials;
  }

  #open(url: URL, access: Access, signal: AbortSignal): Promise<IncomingMessage> {
    const { scheduler, answerWithin } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = this.#request(url, access, signal);
    const late = scheduler.schedule(() => {
      request.destroy(new ApiError('UNREACHABLE', `no answer within ${answerWithin / 1000} s`));
    }, answerWithin);
    request.once('response', (response) => {
      late.unsubscribe();
      resolve(response);
    });
    // Stays: a request also fails after its answer has begun, and then the answer's stream tells.
    request.on('error', (error: NodeJS.ErrnoException) => {
      late.unsubscribe();
      // The server closed a connection that was kept just when it was to be used again: that says nothing about the server.
      if (request.reusedSocket && error.code === 'ECONNRESET') resolve(this.#open(url, access, signal));
      else reject(networkError(error, 'open'));
    });
    request.end();
    return promise;
  }

  /** Certificates that cannot be read, or a token that is no header, are thrown at once. */
  #request(url: URL, access: Access, signal: AbortSignal): http.ClientRequest {
    try {
      return (url.protocol === 'https:' ? https : http).request(url, {
        ...access.tls,
        headers: { ...access.headers, accept: 'application/json', 'user-agent': USER_AGENT },
        agent: access.agent ?? this.#ownAgent(url.protocol, access.tls),
        signal,
        ...(access.auth && { auth: access.auth }),
      });
    } catch (cause) {
      throw new ApiError('CREDENTIALS', cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }

  /** Connections are kept between requests; other certificates make other connections. */
  #ownAgent(protocol: string, tls: Tls): Agent {
    if (this.#agent && isDeepStrictEqual(this.#agent.tls, tls)) return this.#agent.agent;
    const agent =
      protocol === 'https:' ? new https.Agent({ ...tls, keepAlive: true }) : new http.Agent({ keepAlive: true });
    this.#agent = { tls, agent };
    return agent;
  }

  async #refusal(response: IncomingMessage): Promise<ApiError> {
    const { scheduler, answerWithin } = this.#options;
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of chunksOf(response, () => answerWithin, scheduler)) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > MOST_BYTES) break;
      }
    } catch {
      // The status alone must do.
    }
    const status = response.statusCode ?? 0;
    return statusError(status, statusIn(Buffer.concat(chunks).toString()), retryAfter(response));
  }
}

function urlOf(server: string, path: string, query: Query): URL {
  let url: URL;
  try {
    url = new URL(server + path);
  } catch (cause) {
    throw new ApiError('CREDENTIALS', `${JSON.stringify(server)} is no URL of a server`, { cause });
  }
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  return url;
}

/** A proxy's page of HTML is no Status, but its beginning tells more than nothing. */
function statusIn(text: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    const line = text.replace(/\s+/g, ' ').trim().slice(0, 200);
    return line === '' ? undefined : { message: line };
  }
}

/** "Retry-After: 5", in milliseconds; a date, which the API server does not send, is left aside. */
function retryAfter({ headers }: IncomingMessage): number | undefined {
  const text = headers['retry-after'];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) * 1000 : undefined;
}
