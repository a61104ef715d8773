/** An API server that lists agents' pods and runs commands in them, by the API's own protocol over WebSocket. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type WebSocket, WebSocketServer } from 'ws';

/** What a command says and how it ends; a pod without one refuses exec. */
export interface Said {
  readonly out?: readonly string[];
  readonly err?: readonly string[];
  readonly failure?: string;
  /** The connection ends with no word of how the command did. */
  readonly cut?: boolean;
}

export interface AgentPod {
  readonly name: string;
  readonly node: string;
  readonly phase?: string;
  readonly answer?: (command: readonly string[]) => Said;
}

const CHANNEL = { out: 1, err: 2, status: 3 } as const;

export class ExecServer implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly kubeconfig: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'selvedge-exec-'));
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.kubeconfig = join(this.#folder, 'kubeconfig');
    const named = { name: 'test', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } };
    const context = { name: 'test', context: { cluster: 'test', user: 'test' } };
    const user = { name: 'test', user: { token: 'secret' } };
    const config = { clusters: [named], contexts: [context], users: [user], 'current-context': 'test' };
    writeFileSync(this.kubeconfig, JSON.stringify({ apiVersion: 'v1', kind: 'Config', ...config }));
  }

  static async listen(pods: readonly AgentPod[]): Promise<ExecServer> {
    const server = createServer((request, response) => {
      exec.asked.push(request.url ?? '');
      const items = pods.map(({ name, node, phase = 'Running' }) => {
        return { metadata: { name }, spec: { nodeName: node }, status: { phase } };
      });
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ apiVersion: 'v1', kind: 'PodList', metadata: {}, items }));
    });
    const protocols = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
    server.on('upgrade', (request, socket, head) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://server');
      const answer = pods.find(({ name }) => pathname.endsWith(`/pods/${name}/exec`))?.answer;
      if (answer === undefined) return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      protocols.handleUpgrade(request, socket, head, (web) => play(web, answer(searchParams.getAll('command'))));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const exec = new ExecServer(server, (server.address() as AddressInfo).port);
    return exec;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#folder, { recursive: true });
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function play(web: WebSocket, { out = [], err = [], failure, cut = false }: Said): void {
  const send = (channel: number, text: string) => web.send(Buffer.concat([Buffer.from([channel]), Buffer.from(text)]));
  // In pieces that end anywhere, as the real one's do.
  for (const line of out) for (const piece of [line.slice(0, 20), `${line.slice(20)}\n`]) send(CHANNEL.out, piece);
  for (const line of err) send(CHANNEL.err, `${line}\n`);
  if (cut) return void web.terminate();
  const status = failure === undefined ? { status: 'Success' } : { status: 'Failure', message: failure };
  send(CHANNEL.status, JSON.stringify(status));
  web.close();
}
