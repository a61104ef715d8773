/** What the commands ask the running agent of this node, over its socket. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import type { ErrorReply } from './contract.ts';

/** The agent cannot be asked, or has no answer; the message says what to do. */
export class AgentError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}

export interface AskOptions {
  readonly method?: 'GET' | 'POST';
  readonly parameters?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** @throws {AgentError} */
export async function askAgent<T>(socket: string, path: string, options: AskOptions = {}): Promise<T> {
  const response = await open(socket, path, options);
  return JSON.parse(await textOf(response)) as T;
}

/** Values as they come, until the agent or the signal ends it. @throws {AgentError} */
export async function* followAgent<T>(socket: string, path: string, options: AskOptions = {}): AsyncGenerator<T> {
  const response = await open(socket, path, options);
  try {
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) yield JSON.parse(line) as T;
  } catch (error) {
    if (options.signal?.aborted) return;
    throw new AgentError('CUT', 'the agent ended before it had told all', { cause: error });
  } finally {
    // Whoever asks for no more holds nothing at the agent, and hears no more of it.
    response.on('error', () => {}).destroy();
  }
}

async function open(socket: string, path: string, options: AskOptions): Promise<IncomingMessage> {
  const response = await connect(socket, path, options);
  if (response.statusCode === 200) return response;
  const text = await textOf(response);
  const { code, message } = errorIn(text) ?? { code: 'NOT_AN_AGENT', message: `${socket} is not an agent's` };
  throw new AgentError(code, message);
}

function connect(
  socketPath: string,
  path: string,
  { method = 'GET', parameters = {}, body, signal }: AskOptions,
): Promise<IncomingMessage> {
  const query = new URLSearchParams(parameters).toString();
  return new Promise((resolve, reject) => {
    const asked = request(
      // A connection of its own: one that was kept open may be an agent's that has gone.
      { agent: false, socketPath, method, path: query === '' ? path : `${path}?${query}`, ...(signal && { signal }) },
      resolve,
    );
    asked.on('error', (error) => reject(unreachable(socketPath, error)));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return text;
}

function errorIn(text: string): ErrorReply['error'] | undefined {
  try {
    return (JSON.parse(text) as Partial<ErrorReply>).error;
  } catch {
    return undefined;
  }
}

function unreachable(socket: string, error: NodeJS.ErrnoException): AgentError {
  const { code = 'UNREACHABLE' } = error;
  const words: Readonly<Record<string, string>> = {
    ENOENT: `no agent listens on ${socket}: is one running on this node (--socket names another place)?`,
    ECONNREFUSED: `no agent listens on ${socket} any more: is it running?`,
    EACCES: `${socket} may only be used by its owner: try as root`,
  };
  return new AgentError(code, words[code] ?? `the agent on ${socket} cannot be asked: ${error.message}`, {
    cause: error,
  });
}
