// Single datagrams between the two namespaces of a pair: whether and how they arrive.
import { netns, socket } from '../../lib/index.js';

const PORT = 7000;
/** How long a datagram that must not come is waited for, milliseconds. One that must come wakes at once. */
const SILENCE = 150;
const PATIENCE = 10_000;

/** A receiving socket in the right namespace and a sending one in the left. */
export function openTraffic({ left, right }) {
  const receiver = netns.run(right.name, () =>
    socket.open({ family: 4, type: 'udp', bind: { address: right.ip4, port: PORT } }),
  );
  const sender = netns.run(left.name, () => socket.open({ family: 4, type: 'udp' }));
  const send = (text) => socket.send(sender, Buffer.from(text), { address: right.ip4, port: PORT });
  return {
    /** Sends and gives whether it arrived. `expected` only decides how long to wait. */
    passes(expected) {
      send('ping');
      return socket.receive(receiver, expected ? PATIENCE : SILENCE) !== undefined;
    },
    send,
    close() {
      socket.close(receiver);
      socket.close(sender);
    },
  };
}
