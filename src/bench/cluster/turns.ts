/** Clients that measure one after the other, so that none disturbs another: whoever holds a connection that was told "go" has its turn. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const GO = 'go\n';
const KEEP_ALIVE_MS = 5_000;

export interface Turns extends AsyncDisposable {
  readonly port: number;
}

/** In the order in which they come: clients that each ask again when they are done go around in rounds. */
export async function serveTurns(port: number, host?: string): Promise<Turns> {
  const waiting: Socket[] = [];
  const next = () => waiting[0]?.write(GO);
  const server = createServer((socket) => {
    // A node may go without a word.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    waiting.push(socket);
    if (waiting.length === 1) next();
    // A client that has gone ends with an error or without one.
    socket.on('error', () => {});
    socket.on('close', () => {
      const place = waiting.indexOf(socket);
      waiting.splice(place, 1);
      if (place === 0) next();
    });
    // Its end is only seen by who reads.
    socket.resume();
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      for (const socket of waiting) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Resolves when it is this client's turn, until the result is disposed of. @throws what the network says, or the signal's reason */
export async function takeTurn(host: string, port: number, signal: AbortSignal): Promise<Disposable> {
  const socket = connect({ host, port });
  const end = () => socket.destroy();
  try {
    await once(socket, 'connect', { signal });
    await Promise.race([
      once(socket, 'data', { signal }),
      once(socket, 'close', { signal }).then(() => {
        throw new Error(`${host} has ended before it was this client's turn`);
      }),
    ]);
  } catch (error) {
    end();
    throw error;
  }
  // What ends during a turn is told by the next one.
  socket.on('error', () => {});
  return { [Symbol.dispose]: end };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
