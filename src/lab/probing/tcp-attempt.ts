/** A probe over TCP: connected and greeted, or refused, is an arrival. */
import { Socket } from 'node:net';
import { familyOf } from '../../model/address.ts';
import { netns, socket } from '../../native.ts';
import { type Attempt, answered, type Probe, type Settle } from './probe-attempt.ts';

/** A connection of its own, until the other end has said its name. */
export function connect({ from, to, port }: Probe, settle: Settle): Attempt {
  const family = familyOf(from.address);
  const fd = netns.run(from.namespace, () => socket.open({ family, type: 'tcp', bind: { address: from.address } }));
  const options = { fd, manualStart: true, allowHalfOpen: false };
  const client = new Socket(options);
  let connected = false;
  let heard = '';
  client.setEncoding('utf8');
  client.on('connect', () => {
    connected = true;
    client.read(0);
  });
  client.on('data', (text: string) => {
    heard += text;
  });
  client.on('end', () => settle(answered(heard)));
  client.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED' || (error.code === 'ECONNRESET' && !connected)) settle({ verdict: 'allow' });
    else settle({ verdict: 'error', reason: error.message });
  });
  client.connect({ host: to.address, port });
  return {
    get connected() {
      return connected;
    },
    repeat: () => {},
    close: () => client.destroy(),
  };
}
