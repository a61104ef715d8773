/**
 * A small API server over real HTTP or HTTPS: lists in pages, watches with bookmarks, streamed lists, compaction, and
 * every failure that a test asks for. Objects are put by the test, not over HTTP. It keeps to the documented API.
 */
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { filter, firstValueFrom, Subject, startWith } from 'rxjs';
import { netns, socket } from '../../../src/native.ts';
import type { KeyPair } from './certificates.ts';
import { type Failure, Gate, type Verb } from './gate.ts';
import { isFault, type ListOptions, listOptions } from './list-options.ts';
import { Lists } from './lists.ts';
import { type ApiObject, RESOURCES } from './objects.ts';
import { expiredVersion, failure, refuse } from './status.ts';
import { type Collection, Storage } from './storage.ts';
import { WatchConnection } from './watch-connection.ts';

export interface ApiServerOptions {
  readonly host?: string;
  readonly port?: number;
  /** Network namespace to listen in; else this process's own. */
  readonly namespace?: string;
  /** Bearer tokens that are accepted; with none, and without a client authority, everybody is. */
  readonly tokens?: readonly string[];
  /** HTTPS with this certificate; clients may show one by `clientAuthority` (PEM). */
  readonly tls?: KeyPair & { readonly clientAuthority?: string };
  /** Whether lists can be streamed; default true. */
  readonly streams?: boolean;
  /** How a watch of a forgotten version is told: in the stream, as the API server does, or by the answer's status. */
  readonly expired?: 'event' | 'status';
  /** Changes of a kind that are kept for watches; default 10,000. */
  readonly historyLimit?: number;
}

/** A request as it came. */
export interface ApiRequest {
  readonly verb: Verb;
  readonly resource: string;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  /** Tells connections apart. */
  readonly remotePort: number;
  /** Of the answer; 0 for none. */
  readonly status: number;
}

export class ApiServer implements AsyncDisposable {
  readonly storage: Storage;
  readonly gate: Gate;
  readonly requests: ApiRequest[] = [];
  /** Whether lists can be streamed. */
  streams: boolean;
  expired: 'event' | 'status';
  /** Bytes of each write to watches that begin from now on; 0 for whatever there is. */
  trickle = 0;
  /** Requests that come from now on get no answer at all. */
  mute = false;
  readonly #lists: Lists;
  readonly #watches = new Set<WatchConnection>();
  readonly #sockets = new Set<Socket>();
  readonly #news = new Subject<ApiRequest>();
  readonly #left = new Subject<void>();
  readonly #options: ApiServerOptions;
  #server: Server | undefined;
  #address: { readonly host: string; readonly port: number };

  private constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#address = { host: options.host ?? '127.0.0.1', port: options.port ?? 0 };
    this.streams = options.streams ?? true;
    this.expired = options.expired ?? 'event';
    this.storage = new Storage(options.historyLimit ?? 10_000);
    this.#lists = new Lists(this.storage);
    this.gate = new Gate(options.tokens ?? [], options.tls?.clientAuthority !== undefined);
  }

  static async listen(options: ApiServerOptions = {}): Promise<ApiServer> {
    const server = new ApiServer(options);
    await server.resume();
    return server;
  }

  get url(): string {
    const { host, port } = this.#address;
    return `${this.#options.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  put(...objects: readonly ApiObject[]): void {
    for (const object of objects) this.storage.put(object);
  }

  /** @param key `NAMESPACE/NAME`, or `NAME` */
  delete(kind: string, key: string): void {
    this.storage.delete(kind, key);
  }

  compact(): void {
    this.storage.compact();
  }

  fail(wanted: Failure): void {
    this.gate.fail(wanted);
  }

  /** The open watches of a resource, or of all. */
  watches(plural?: string): WatchConnection[] {
    return [...this.#watches].filter((watch) => plural === undefined || watch.plural === plural);
  }

  bookmark(): void {
    for (const watch of this.#watches) watch.bookmark();
  }

  /** Resolves with the first request that is answered from now on and fits. */
  request(fits: (request: ApiRequest) => boolean): Promise<ApiRequest> {
    return firstValueFrom(this.#news.pipe(filter(fits)));
  }

  /** Resolves when nobody is connected. */
  async whenIdle(): Promise<void> {
    const idle = this.#left.pipe(
      startWith(undefined),
      filter(() => this.#sockets.size === 0),
    );
    await firstValueFrom(idle);
  }

  /** The server goes away: no connection stays, none can be made. */
  async pause(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    this.cutAll();
    await closed;
  }

  /** All connections break off. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The server is back, at the same address. */
  async resume(): Promise<void> {
    const server = this.#create();
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#left.next();
      });
    });
    const { host, port } = this.#address;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const { namespace } = this.#options;
      if (namespace === undefined) server.listen(port, host, resolve);
      else server.listen({ fd: listenIn(namespace, host, port) }, resolve);
    });
    this.#address = { host, port: (server.address() as AddressInfo).port };
    this.#server = server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
  }

  #create(): Server {
    const { tls } = this.#options;
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    if (tls === undefined) return http.createServer(onRequest);
    const { key, certificate, clientAuthority } = tls;
    const clients =
      clientAuthority === undefined ? {} : { ca: clientAuthority, requestCert: true, rejectUnauthorized: false };
    return https.createServer({ key, cert: certificate, ...clients }, onRequest);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://server');
    const resource = RESOURCES.find(({ path }) => path === url.pathname);
    if (resource === undefined || request.method !== 'GET') {
      refuse(response, failure(404, 'the server could not find the requested resource'));
      return;
    }
    const options = listOptions(url.searchParams, this.streams);
    const verb = url.searchParams.get('watch') === 'true' ? 'watch' : 'list';
    const refusal = this.mute ? undefined : this.gate.refusal(request, resource, verb);
    if (this.mute) response.statusCode = 0;
    else if (refusal !== undefined) refuse(response, refusal.status, refusal.headers);
    else if (isFault(options)) refuse(response, options);
    else this.#answer(this.storage.collection(resource.kind), options, response);
    const seen = {
      verb,
      resource: resource.plural,
      query: Object.fromEntries(url.searchParams),
      authorization: request.headers.authorization,
      remotePort: request.socket.remotePort ?? 0,
      status: response.statusCode,
    } as const;
    this.requests.push(seen);
    this.#news.next(seen);
  }

  #answer(collection: Collection, options: ListOptions, response: ServerResponse): void {
    const { version = 0, watch } = options;
    const { compacted } = this.storage;
    if (!watch) this.#lists.answer(collection, options, response);
    else if (version > 0 && version < compacted && this.expired === 'status') {
      refuse(response, expiredVersion(version, compacted));
    } else this.#watch(collection, options, response);
  }

  #watch(collection: Collection, options: ListOptions, response: ServerResponse): void {
    const connection = new WatchConnection({
      storage: this.storage,
      collection,
      options,
      response,
      trickle: this.trickle,
    });
    this.#watches.add(connection);
    response.once('close', () => this.#watches.delete(connection));
    void connection.start();
  }
}

function listenIn(namespace: string, address: string, port: number): number {
  const bind = { address, port };
  return netns.run(namespace, () => {
    return socket.open({ family: 4, type: 'tcp', bind, listen: 128, reuseAddress: true });
  });
}
