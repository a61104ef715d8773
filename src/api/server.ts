/**
 * The agent's API: HTTP over a unix socket that only its owner may use. What is asked for is read when asked; nobody who
 * asks, or reads slowly, holds up the agent, and enforcement does not hang on any of it.
 */
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ErrorReply } from './contract.ts';

/** An answer: JSON, or a text of its own type, or lines that come over time. */
export type Reply =
  | { readonly json: unknown }
  | { readonly text: string; readonly type: string }
  | { readonly lines: AsyncIterable<unknown> };

/** Said to whoever asks. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly parameters: URLSearchParams;
  readonly body: string;
  /** Whoever asked has gone. */
  readonly signal: AbortSignal;
}

export interface ApiServerOptions {
  readonly socket: string;
  readonly answer: (ask: Ask) => Promise<Reply>;
  /** The socket cannot be had (now); it is tried again. */
  readonly onFailure: (error: Error, retryMs: number) => void;
}

const RETRY_MS = 5_000;
const REQUEST_MS = 5_000;
const BODY_MAX = 64 * 1024;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #ends = new AbortController();
  #listening = false;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: REQUEST_MS, keepAliveTimeout: REQUEST_MS }, (request, response) => {
      void this.#serve(request, response);
    });
    void this.#listen();
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** Idempotent. */
  close(): void {
    if (this.#ends.signal.aborted) return;
    this.#ends.abort();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#listening) rmSync(this.#options.socket, { force: true });
  }

  async #listen(): Promise<void> {
    const { socket, onFailure } = this.#options;
    const { signal } = this.#ends;
    while (!signal.aborted) {
      try {
        await listenPrivately(this.#server, socket);
        this.#listening = true;
        if (signal.aborted) rmSync(socket, { force: true });
        return;
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error as Error, RETRY_MS);
      }
      await wait(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent');
      const body = await bodyOf(request);
      const method = request.method ?? 'GET';
      const signal = AbortSignal.any([gone.signal, this.#ends.signal]);
      await send(
        response,
        await this.#options.answer({ method, path: pathname, parameters: searchParams, body, signal }),
      );
    } catch (error) {
      if (response.headersSent) response.destroy();
      else sendError(response, error);
    }
  }
}

/** @throws when another agent answers there, or the place cannot be written */
async function listenPrivately(server: Server, socket: string): Promise<void> {
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  if (await isAnswered(socket)) throw new Error(`another agent listens on ${socket}`);
  // Under a name of its own until nobody else may use it: then it replaces what a killed agent has left.
  const made = `${socket}.${process.pid}`;
  rmSync(made, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(made, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
  chmodSync(made, 0o600);
  renameSync(made, socket);
}

function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const end = (answered: boolean) => {
      connection.destroy();
      resolve(answered);
    };
    connection.on('connect', () => end(true)).on('error', () => end(false));
  });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > BODY_MAX) throw new ApiError(413, 'TOO_LARGE', `a request has at most ${BODY_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

async function send(response: ServerResponse, reply: Reply): Promise<void> {
  if ('json' in reply) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(reply.json)}\n`);
  } else if ('text' in reply) {
    response.writeHead(200, { 'content-type': reply.type }).end(reply.text);
  } else {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    for await (const line of reply.lines) {
      // Whoever does not read is waited for here, with what it misses counted by who offers the lines.
      if (!response.write(`${JSON.stringify(line)}\n`)) await drained(response);
      if (response.destroyed) return;
    }
    response.end();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve);
    response.once('close', resolve);
  });
}

function sendError(response: ServerResponse, error: unknown): void {
  const known = error instanceof ApiError ? error : new ApiError(500, 'INTERNAL', messageOf(error));
  const reply: ErrorReply = { error: { code: known.code, message: known.message } };
  response.writeHead(known.status, { 'content-type': 'application/json' }).end(`${JSON.stringify(reply)}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
