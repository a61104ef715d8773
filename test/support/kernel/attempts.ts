/** The same connection tried over and over by both ends of it in this process: how often it got through. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import type { Station } from '../../../src/lab/probing/station.ts';
import { familyOf } from '../../../src/model/address.ts';
import { netns, socket } from '../../../src/native.ts';

export interface Attempts {
  readonly name: string;
  readonly passed: number;
  /** A new connection over TCP, another datagram over UDP. */
  try(): void;
  close(): void;
}

export interface AttemptsOptions {
  readonly from: Station;
  readonly to: Station;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
}

export async function openAttempts({ from, to, protocol, port }: AttemptsOptions): Promise<Attempts> {
  return protocol === 'TCP' ? tryTcp(from, to, port) : tryUdp(from, to, port);
}

function tryTcp(from: Station, to: Station, port: number): Attempts {
  const family = familyOf(to.address);
  const bind = { address: to.address, port };
  const fd = netns.run(to.namespace, () => socket.open({ family, type: 'tcp', bind, listen: 64, reuseAddress: true }));
  let passed = 0;
  const server = createServer((accepted) => {
    passed++;
    accepted.on('error', () => {});
    accepted.destroy();
  }).listen({ fd });
  let client: Socket | undefined;
  return {
    name: `${from.name} to ${to.name} ${port}/TCP IPv${family}`,
    get passed() {
      return passed;
    },
    try: () => {
      client?.destroy();
      const own = netns.run(from.namespace, () =>
        socket.open({ family, type: 'tcp', bind: { address: from.address } }),
      );
      client = new Socket({ fd: own, manualStart: true } as never);
      client.on('error', () => {});
      client.connect({ host: to.address, port });
    },
    close: () => {
      client?.destroy();
      server.close();
    },
  };
}

async function tryUdp(from: Station, to: Station, port: number): Promise<Attempts> {
  const family = familyOf(to.address);
  const [client, server] = [from, to].map(({ namespace, address }, side) => {
    const fd = netns.run(namespace, () => socket.open({ family, type: 'udp', bind: { address, port: side * port } }));
    const opened = createSocket(family === 4 ? 'udp4' : 'udp6').on('error', () => {});
    opened.bind({ fd, exclusive: true });
    return opened;
  }) as [ReturnType<typeof createSocket>, ReturnType<typeof createSocket>];
  let passed = 0;
  server.on('message', () => passed++);
  const connected = once(client, 'connect');
  client.connect(port, to.address);
  await connected;
  return {
    name: `${from.name} to ${to.name} ${port}/UDP IPv${family}`,
    get passed() {
      return passed;
    },
    try: () => client.send('?', () => {}),
    close: () => {
      client.close();
      server.close();
    },
  };
}
