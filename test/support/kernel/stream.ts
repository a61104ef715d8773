/**
 * Long-lived connections between stations, both ends in this process: numbered messages in one direction, so that a test
 * can say which message was the last that got through.
 */
import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import type { Station } from '../../../src/lab/probing/station.ts';
import { familyOf } from '../../../src/model/address.ts';
import { netns, socket } from '../../../src/native.ts';

/** `up`: the side that opened the connection sends; `down`: the other one, and the opener is silent. */
export type StreamDirection = 'up' | 'down';

export interface StreamOptions {
  readonly from: Station;
  readonly to: Station;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
  readonly direction: StreamDirection;
  /** Where the client believes the server to be: a Service's address. */
  readonly via?: { readonly address: string; readonly port: number };
}

export interface Stream {
  readonly name: string;
  readonly options: StreamOptions;
  /** Port of the side that opened it. */
  readonly sourcePort: number;
  /** The number of the last message that was sent, from 1. */
  readonly sent: number;
  /** How many messages have arrived, each counted once. */
  readonly received: number;
  /** The highest number that has arrived. */
  readonly last: number;
  /** Gives the next message to the kernel, before this returns. */
  send(): void;
  /** Resolves when that many have arrived. */
  arrived(count: number): Promise<void>;
  close(): void;
}

/** Opens a connection and has a first message pass. */
export async function openStream(options: StreamOptions): Promise<Stream> {
  const stream = options.protocol === 'TCP' ? await openTcp(options) : await openUdp(options);
  stream.send();
  await stream.arrived(1);
  return stream;
}

/** The receiving side's count. */
class Tally {
  count = 0;
  last = 0;
  #waiting: { readonly count: number; readonly done: () => void }[] = [];

  add(number: number): void {
    this.count++;
    this.last = Math.max(this.last, number);
    const ready = this.#waiting.filter(({ count }) => count <= this.count);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.count);
    for (const { done } of ready) done();
  }

  reached(count: number): Promise<void> {
    if (this.count >= count) return Promise.resolve();
    return new Promise((done) => {
      this.#waiting.push({ count, done });
    });
  }
}

const MESSAGE = 4;

async function openTcp(options: StreamOptions): Promise<Stream> {
  const { from, to, port, direction } = options;
  const listening = { family: familyOf(to.address), type: 'tcp', listen: 16, reuseAddress: true } as const;
  const serverFd = netns.run(to.namespace, () => socket.open({ ...listening, bind: { address: to.address, port } }));
  const server = createServer();
  server.listen({ fd: serverFd });
  const clientFd = netns.run(from.namespace, () =>
    socket.open({ family: familyOf(from.address), type: 'tcp', bind: { address: from.address } }),
  );
  const client = new Socket({ fd: clientFd, manualStart: true } as never);
  client.connect({ host: options.via?.address ?? to.address, port: options.via?.port ?? port });
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  server.close();
  const sourcePort = client.localPort as number;
  const [sender, receiver] = direction === 'up' ? [client, accepted] : [accepted, client];
  for (const end of [client, accepted]) {
    end.on('error', () => {});
    end.setNoDelay(true);
    end.resume();
  }
  const tally = new Tally();
  let rest = Buffer.alloc(0);
  receiver.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    for (; rest.length >= MESSAGE; rest = rest.subarray(MESSAGE)) tally.add(rest.readUInt32BE(0));
  });
  return streamOf(options, sourcePort, tally, {
    send: (message) => void sender.write(message),
    close: () => {
      client.destroy();
      accepted.destroy();
    },
  });
}

async function openUdp(options: StreamOptions): Promise<Stream> {
  const { from, to, port, direction } = options;
  const server = await bound(to, port);
  const client = await bound(from);
  await connected(client, options.via ?? { address: to.address, port });
  const { port: sourcePort } = client.address();
  // The server learns by a request from whom it comes.
  const request = once(server, 'message');
  client.send(Buffer.alloc(MESSAGE));
  const [, asker] = (await request) as [Buffer, RemoteInfo];
  await connected(server, asker);
  const [sender, receiver] = direction === 'up' ? [client, server] : [server, client];
  const tally = new Tally();
  receiver.on('message', (message) => tally.add(message.readUInt32BE(0)));
  return streamOf(options, sourcePort, tally, {
    send: (message) => sender.send(message, () => {}),
    close: () => {
      client.close();
      server.close();
    },
  });
}

async function bound({ address, namespace }: Station, port = 0): Promise<DatagramSocket> {
  const family = familyOf(address);
  const fd = netns.run(namespace, () => socket.open({ family, type: 'udp', bind: { address, port } }));
  const opened = createSocket({ type: family === 4 ? 'udp4' : 'udp6', recvBufferSize: 1 << 20 });
  opened.on('error', () => {});
  const listening = once(opened, 'listening');
  opened.bind({ fd, exclusive: true });
  await listening;
  return opened;
}

async function connected(opened: DatagramSocket, { address, port }: { address: string; port: number }): Promise<void> {
  const connecting = once(opened, 'connect');
  opened.connect(port, address);
  await connecting;
}

function streamOf(
  options: StreamOptions,
  sourcePort: number,
  tally: Tally,
  ends: { send(message: Buffer): void; close(): void },
): Stream {
  const { from, to, protocol, port, direction } = options;
  let sent = 0;
  return {
    name: `${from.name} to ${to.name} ${port}/${protocol} IPv${familyOf(from.address)} ${direction}`,
    options,
    sourcePort,
    get sent() {
      return sent;
    },
    get received() {
      return tally.count;
    },
    get last() {
      return tally.last;
    },
    send: () => {
      const message = Buffer.alloc(MESSAGE);
      message.writeUInt32BE(++sent);
      ends.send(message);
    },
    arrived: (count) => tally.reached(count),
    close: ends.close,
  };
}
