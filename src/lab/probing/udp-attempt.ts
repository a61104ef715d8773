/** A probe over UDP: an answer, or the kernel's word that nobody listens there, is an arrival. */
import { createSocket } from 'node:dgram';
import { familyOf } from '../../model/address.ts';
import { netns, socket } from '../../native.ts';
import { type Attempt, answered, type Probe, type Settle } from './probe-attempt.ts';

/** A question to which the other end answers with its name. */
export function askByDatagram({ from, to, port }: Probe, settle: Settle): Attempt {
  const family = familyOf(from.address);
  const fd = netns.run(from.namespace, () => socket.open({ family, type: 'udp', bind: { address: from.address } }));
  const client = createSocket(family === 4 ? 'udp4' : 'udp6');
  let ready = false;
  const failed = (error: NodeJS.ErrnoException | null) => {
    if (!error) return;
    if (error.code === 'ECONNREFUSED') settle({ verdict: 'allow' });
    else settle({ verdict: 'error', reason: error.message });
  };
  const send = () => {
    if (ready) client.send('?', failed);
  };
  client.on('error', failed);
  client.on('message', (data) => settle(answered(data.toString('utf8'))));
  client.on('listening', () => client.connect(port, to.address));
  client.on('connect', () => {
    ready = true;
    send();
  });
  client.bind({ fd, exclusive: true });
  return { connected: false, repeat: send, close: () => client.close() };
}
