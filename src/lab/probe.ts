/**
 * One question to the network: does a packet from here get there, by a real connection. An answer or a refusal says yes,
 * silence says no, and anything else, no route say, is an error: it is nobody's verdict.
 */
import { createSocket } from 'node:dgram';
import { Socket } from 'node:net';
import { familyOf } from '../model/address.ts';
import { netns, socket } from '../native.ts';
import type { ListenerProtocol } from './listeners.ts';
import type { Station } from './station.ts';

export interface Probe {
  readonly from: Station;
  readonly to: Station;
  readonly protocol: ListenerProtocol;
  readonly port: number;
}

export type ProbeOutcome =
  /** `answeredBy` is absent when the port was refused, or somebody answered who is not of the lab. */
  | { readonly verdict: 'allow'; readonly answeredBy?: string }
  | { readonly verdict: 'deny' }
  | { readonly verdict: 'error'; readonly reason: string };

/**
 * Milliseconds. The kernel repeats a SYN after a second only, so TCP is tried again with a new connection each time.
 * Silence lasts until nothing has come for `silence` after the start.
 */
const TCP = { repeat: 350, silence: 1_000 } as const;
const UDP = { repeat: 150, silence: 900 } as const;

/** Never rejects. */
export function probe(question: Probe): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const attempts: Attempt[] = [];
    const { repeat, silence } = question.protocol === 'TCP' ? TCP : UDP;
    let settled = false;
    const settle = (outcome: ProbeOutcome) => {
      if (settled) return;
      settled = true;
      clearInterval(again);
      clearTimeout(deadline);
      for (const attempt of attempts) attempt.close();
      resolve(outcome);
    };
    const ask = () => {
      try {
        if (question.protocol === 'TCP') attempts.push(connect(question, settle));
        else if (attempts[0] === undefined) attempts.push(askByDatagram(question, settle));
        else attempts[0].repeat();
      } catch (error) {
        settle({ verdict: 'error', reason: (error as Error).message });
      }
    };
    const again = setInterval(ask, repeat);
    const deadline = setTimeout(() => afterPoll(() => settle(silent(attempts))), silence);
    ask();
  });
}

interface Attempt {
  /** Whether a connection was made that nobody spoke on. */
  readonly connected: boolean;
  repeat(): void;
  close(): void;
}

function silent(attempts: readonly Attempt[]): ProbeOutcome {
  if (!attempts.some(({ connected }) => connected)) return { verdict: 'deny' };
  return { verdict: 'error', reason: 'connected, but no answer followed' };
}

/** Timers run before sockets are looked at: in a busy process the answer may be there already when the time is up. */
function afterPoll(then: () => void): void {
  setImmediate(() => setImmediate(then));
}

function connect({ from, to, port }: Probe, settle: (outcome: ProbeOutcome) => void): Attempt {
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
  client.on('end', () => settle(answer(heard)));
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

function askByDatagram({ from, to, port }: Probe, settle: (outcome: ProbeOutcome) => void): Attempt {
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
  client.on('message', (data) => settle(answer(data.toString('utf8'))));
  client.on('listening', () => client.connect(port, to.address));
  client.on('connect', () => {
    ready = true;
    send();
  });
  client.bind({ fd, exclusive: true });
  return { connected: false, repeat: send, close: () => client.close() };
}

function answer(text: string): ProbeOutcome {
  const name = text.trim();
  return name === '' ? { verdict: 'allow' } : { verdict: 'allow', answeredBy: name };
}
