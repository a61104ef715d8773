/** Whether the agent lives and is ready -> two pages for the kubelet's probes: 200, or 503 with a line for each reason. And the metrics. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { isIPv6 } from 'node:net';

export interface HealthOptions {
  readonly address: HealthAddress;
  /** Served as /metrics. */
  readonly metrics?: { readonly contentType: string; text(): Promise<string> };
  /** What keeps the node from being ready; nothing when it is. */
  readonly faults: () => readonly string[];
  /** The address cannot be listened on (now); it is tried again. */
  readonly onFailure: (error: Error, retryMs: number) => void;
}

export interface HealthAddress {
  /** An address of this node. Absent: all of them, those of IPv6 too where the kernel has it. */
  readonly host?: string;
  readonly port: number;
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
const RETRY_MS = 5_000;
/** A probe that hangs must not hold the agent's descriptors. */
const REQUEST_MS = 5_000;

/** `127.0.0.1:9971`, `[::1]:9971`, `:9971` for all addresses; undefined for anything else. */
export function parseHealthAddress(text: string): HealthAddress | undefined {
  const [, six, four, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) return undefined;
  if (six !== undefined) return isIPv6(six) ? { host: six, port } : undefined;
  return { ...(four && { host: four }), port };
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
      void this.#serve(request.url ?? '/', response);
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

  /** Without a host Node takes `::`, and 0.0.0.0 where there is no IPv6. */
  #listen(): void {
    this.#server.listen({ ...this.#options.address, exclusive: true });
  }

  async #serve(url: string, response: ServerResponse): Promise<void> {
    const path = url.split('?', 1)[0] ?? '';
    const { metrics } = this.#options;
    if (path === '/metrics' && metrics !== undefined) {
      const text = await metrics.text().catch((error: Error) => error);
      if (typeof text === 'string') response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
      else response.writeHead(500, PLAIN).end(`${text.message}\n`);
      return;
    }
    const { status, text } = this.#answer(path);
    response.writeHead(status, PLAIN).end(`${text}\n`);
  }

  #answer(path: string): { readonly status: number; readonly text: string } {
    if (path === '/healthz') return { status: 200, text: 'ok' };
    if (path !== '/readyz') return { status: 404, text: '/healthz, /readyz or /metrics' };
    const faults = this.#options.faults();
    return faults.length === 0 ? { status: 200, text: 'ready' } : { status: 503, text: faults.join('\n') };
  }
}
