/** Whether the agent lives and is ready -> two pages for the kubelet's probes: 200, or 503 with a line for each reason. */
import { createServer, type Server } from 'node:http';
import { isIPv6 } from 'node:net';

export interface HealthOptions {
  readonly address: HealthAddress;
  /** What keeps the node from being ready; nothing when it is. */
  readonly faults: () => readonly string[];
  /** The address cannot be listened on (now); it is tried again. */
  readonly onFailure: (error: Error, retryMs: number) => void;
}

export interface HealthAddress {
  /** An address of this node, or 0.0.0.0 or :: for all. */
  readonly host: string;
  readonly port: number;
}

const RETRY_MS = 5_000;
/** A probe that hangs must not hold the agent's descriptors. */
const REQUEST_MS = 5_000;

/** `127.0.0.1:9971`, `[::1]:9971`, `:9971` for all addresses; undefined for anything else. */
export function parseHealthAddress(text: string): HealthAddress | undefined {
  const [, six, four, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) return undefined;
  if (six !== undefined) return isIPv6(six) ? { host: six, port } : undefined;
  return { host: four === '' || four === undefined ? '::' : four, port };
}

/**
 * `/healthz` answers while the process does its work at all, `/readyz` when everything that was seen is in force.
 * Enforcement does not hang on it: an address that is in use is told of and tried again.
 */
export class HealthServer {
  readonly #options: HealthOptions;
  readonly #server: Server;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: REQUEST_MS, keepAliveTimeout: REQUEST_MS }, (request, response) => {
      const { status, text } = this.#answer(request.url ?? '/');
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
      response.end(`${text}\n`);
    });
    this.#server.on('error', (error) => {
      options.onFailure(error, RETRY_MS);
      if (!this.#closed) this.#retry = setTimeout(() => this.#listen(), RETRY_MS).unref();
    });
    this.#listen();
  }

  /** Of the socket; the port is another than asked for where that was 0. Undefined while it does not listen. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #listen(): void {
    this.#server.listen({ ...this.#options.address, exclusive: true });
  }

  #answer(url: string): { readonly status: number; readonly text: string } {
    const path = url.split('?', 1)[0];
    if (path === '/healthz') return { status: 200, text: 'ok' };
    if (path !== '/readyz') return { status: 404, text: '/healthz or /readyz' };
    const faults = this.#options.faults();
    return faults.length === 0 ? { status: 200, text: 'ready' } : { status: 503, text: faults.join('\n') };
  }
}
