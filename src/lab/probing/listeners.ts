/** Real listeners on addresses of the lab, all in this process: whoever asks is told who answers, over TCP and UDP. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { familyOf } from '../../model/address.ts';
import { netns, socket } from '../../native.ts';
import type { Station } from './station.ts';

export type ListenerProtocol = 'TCP' | 'UDP';

/** A client that keeps its connection open is cut after this many milliseconds. */
const LONGEST_CONNECTION = 10_000;
/** More than any probe opens at once to one port. */
const BACKLOG = 4096;

interface Listener {
  readonly namespace: string;
  close(): void;
}

export class Listeners {
  readonly #open = new Map<string, Listener>();

  /** Listens there unless somebody does. @throws {BpfError} EADDRINUSE, EADDRNOTAVAIL, ENOENT where there is no such namespace */
  ensure(station: Station, protocol: ListenerProtocol, port: number): void {
    const key = `${station.namespace} ${protocol} ${station.address} ${port}`;
    if (this.#open.has(key)) return;
    const listener = protocol === 'TCP' ? listenTcp(station, port) : listenUdp(station, port);
    this.#open.set(key, { namespace: station.namespace, close: listener });
  }

  /** Closes those in namespaces that are about to go. */
  closeIn(namespaces: ReadonlySet<string>): void {
    for (const [key, { namespace, close }] of this.#open) {
      if (!namespaces.has(namespace)) continue;
      close();
      this.#open.delete(key);
    }
  }

  /** Idempotent. */
  close(): void {
    for (const { close } of this.#open.values()) close();
    this.#open.clear();
  }
}

function listenTcp({ namespace, address, name }: Station, port: number): () => void {
  const family = familyOf(address);
  const options = { family, type: 'tcp', bind: { address, port }, listen: BACKLOG, reuseAddress: true } as const;
  const fd = netns.run(namespace, () => socket.open(options));
  const connections = new Set<Socket>();
  const server: Server = createServer((connection) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    // Who asks may go away or be cut off; the next one must find us listening still.
    connection.on('error', () => {});
    connection.setTimeout(LONGEST_CONNECTION, () => connection.destroy());
    connection.resume().end(`${name}\n`);
  });
  server.on('error', () => {});
  server.listen({ fd, backlog: BACKLOG });
  return () => {
    server.close();
    for (const connection of connections) connection.destroy();
  };
}

function listenUdp({ namespace, address, name }: Station, port: number): () => void {
  const family = familyOf(address);
  const fd = netns.run(namespace, () => socket.open({ family, type: 'udp', bind: { address, port } }));
  const server: DatagramSocket = createSocket(family === 4 ? 'udp4' : 'udp6');
  // ICMP errors about answers that did not arrive.
  server.on('error', () => {});
  server.on('message', (_question, { address: asker, port: from }) => server.send(`${name}\n`, from, asker, () => {}));
  server.bind({ fd, exclusive: true });
  return () => server.close();
}
