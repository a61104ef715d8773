/**
 * The agent's API: HTTP over a unix socket that only its owner may use. What is asked for is read when asked; nobody who
 * asks, or reads slowly, holds up the agent, and enforcement does not hang on any of it.
 */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
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
const CONNECTIONS_MAX = 64;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #ends = new AbortController();
  /** Inode of the socket that we listen on. */
  #own: number | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: REQUEST_MS, keepAliveTimeout: REQUEST_MS }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    // One that fails later has a listener's retry, or nobody whom it concerns.
    this.#server.on('error', () => {});
    void this.#listen();
  }

  get listening(): boolean {
    return this.#own !== undefined;
  }

  /** Idempotent. */
  close(): void {
    if (this.#ends.signal.aborted) return;
    this.#ends.abort();
    // Before it stops to answer: who comes next finds the place free, never a socket that is about to be removed.
    this.#remove();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #listen(): Promise<void> {
    const { socket, onFailure } = this.#options;
    const { signal } = this.#ends;
    while (!signal.aborted) {
      try {
        this.#own = await listenPrivately(this.#server, socket);
        if (signal.aborted) {
          this.#remove();
          this.#server.close();
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error as Error, RETRY_MS);
      }
      await wait(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  #remove(): void {
    const { socket } = this.#options;
    if (this.#own === undefined || inodeOf(socket) !== this.#own) return;
    rmSync(socket, { force: true });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      const { pathname, searchParams } = urlOf(request);
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

/** @returns the socket's inode. @throws when another agent answers there, or the place cannot be written or is no socket's */
async function listenPrivately(server: Server, socket: string): Promise<number> {
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  await assertFree(socket);
  // In a folder that nobody else can enter until nobody else may use it: then it replaces what a killed agent has left.
  // Not by join, which would take the dot away: beside the socket's folder nothing may be writable, as in a container.
  const folder = mkdtempSync(`${dirname(socket)}/.`);
  try {
    const made = join(folder, 's');
    await listen(server, made);
    try {
      chmodSync(made, 0o600);
      const inode = lstatSync(made).ino;
      renameSync(made, socket);
      return inode;
    } catch (error) {
      await new Promise((resolve) => server.close(resolve));
      throw error;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Only what certainly nobody listens on is replaced, and only a socket. */
async function assertFree(socket: string): Promise<void> {
  const there = lstatSync(socket, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error(`${socket} is there already and is no socket`);
  const code = await connectCode(socket);
  if (code === undefined || code === 'EAGAIN') throw new Error(`another agent listens on ${socket}`);
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') {
    throw new Error(`whether an agent listens on ${socket} cannot be told: ${code}`);
  }
}

/** Undefined when somebody has answered. */
function connectCode(socket: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.on('connect', () => {
      connection.destroy();
      resolve(undefined);
    });
    connection.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'unknown'));
  });
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

function urlOf({ url = '/' }: IncomingMessage): URL {
  const parsed = URL.parse(url, 'http://agent');
  if (parsed === null) throw new ApiError(400, 'REQUEST', `${JSON.stringify(url)} is no path`);
  return parsed;
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
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    if (response.destroyed) done();
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
