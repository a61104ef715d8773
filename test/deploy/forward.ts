/** What connects to an address in one network namespace reaches the same address in another. */
import { createServer, Socket } from 'node:net';
import { netns, socket } from '../../src/native.ts';

export function forward(from: string, to: string, address: string, port: number): Disposable {
  const listening = { family: 4, type: 'tcp', bind: { address, port }, listen: 64, reuseAddress: true } as const;
  const fd = netns.run(from, () => socket.open(listening));
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const own = netns.run(to, () => socket.open({ family: 4, type: 'tcp', bind: { address } }));
    const far = new Socket({ fd: own, manualStart: true } as never);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one
        .on('error', () => other.destroy())
        .on('close', () => {
          open.delete(one);
          other.destroy();
        });
    }
    far.connect({ host: address, port });
    near.pipe(far).pipe(near);
  }).listen({ fd });
  return {
    [Symbol.dispose]: () => {
      server.close();
      for (const one of open) one.destroy();
    },
  };
}
