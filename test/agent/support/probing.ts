/** Datagrams from pod to pod of a lab, each of a connection of its own, all the time: what became of each, and when. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Station } from '../../../src/lab/probing/station.ts';
import { familyOf } from '../../../src/model/address.ts';
import { BpfError, netns, socket } from '../../../src/native.ts';

const PORT = 7100;
/** Between two rounds, in milliseconds. */
const PAUSE = 10;
/** What has not arrived after so many milliseconds does not arrive. */
const PATIENCE = 1_000;

export interface ProbeResult {
  /** `FROM TO FAMILY`, names without their namespace. */
  readonly pair: string;
  readonly from: string;
  readonly verdict: 'allow' | 'deny';
  /** When it was sent, and when that was known. */
  readonly sent: number;
  readonly known: number;
}

interface Path {
  readonly pair: string;
  readonly from: Station;
  readonly to: Station;
}

interface Pending {
  readonly path: Path;
  readonly sent: number;
}

export class Probing {
  readonly #onResult: (result: ProbeResult) => void;
  readonly #paths = new Map<string, Path>();
  readonly #listeners = new Map<string, Socket>();
  readonly #pending = new Map<number, Pending>();
  readonly #loop: Promise<void>;
  #next = 1;
  #stopped = false;

  constructor(onResult: (result: ProbeResult) => void) {
    this.#onResult = onResult;
    this.#loop = this.#run();
  }

  get sent(): number {
    return this.#next - 1;
  }

  /** Asks along these from now on, too. */
  async add(from: Station, to: Station): Promise<void> {
    await this.#listen(to);
    const pair = `${short(from)} ${short(to)} IPv${familyOf(to.address)}`;
    this.#paths.set(pair, { pair, from, to });
  }

  /** Asks no more from or to this pod. */
  remove(name: string): void {
    for (const [pair, { from, to }] of this.#paths)
      if ([short(from), short(to)].includes(name)) this.#paths.delete(pair);
    for (const [key, { path }] of this.#pending) {
      if ([short(path.from), short(path.to)].includes(name)) this.#pending.delete(key);
    }
  }

  /** Resolves when the last answer is known. Idempotent. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
  }

  async #run(): Promise<void> {
    let last = performance.now();
    while (!this.#stopped || this.#pending.size > 0) {
      if (!this.#stopped) for (const path of this.#paths.values()) this.#send(path);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      // Answers first: timers may be late while they wait to be read.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      this.#giveUp(Math.min(last, performance.now()) - PATIENCE);
      last = performance.now();
    }
  }

  #send(path: Path): void {
    const { from, to } = path;
    const number = this.#next++;
    const message = Buffer.alloc(4);
    message.writeUInt32BE(number);
    const fd = netns.run(from.namespace, () => {
      return socket.open({ family: familyOf(from.address), type: 'udp', bind: { address: from.address } });
    });
    this.#pending.set(number, { path, sent: performance.now() });
    try {
      socket.send(fd, message, { address: to.address, port: PORT });
    } catch (error) {
      // An ICMP error about another one: nothing was sent.
      if (!(error instanceof BpfError)) throw error;
      this.#pending.delete(number);
    } finally {
      socket.close(fd);
    }
  }

  #giveUp(before: number): void {
    for (const [number, { path, sent }] of this.#pending) {
      if (sent > before) return;
      this.#tell(number, path, sent, 'deny');
    }
  }

  #tell(number: number, { pair, from }: Path, sent: number, verdict: 'allow' | 'deny'): void {
    this.#pending.delete(number);
    this.#onResult({ pair, from: short(from), verdict, sent, known: performance.now() });
  }

  async #listen({ namespace, address }: Station): Promise<void> {
    if (this.#listeners.has(address)) return;
    const family = familyOf(address);
    const fd = netns.run(namespace, () => socket.open({ family, type: 'udp', bind: { address, port: PORT } }));
    const listener = createSocket({ type: family === 4 ? 'udp4' : 'udp6' }).on('error', () => {});
    this.#listeners.set(address, listener);
    listener.on('message', (message) => {
      const number = message.readUInt32BE(0);
      const pending = this.#pending.get(number);
      if (pending !== undefined) this.#tell(number, pending.path, pending.sent, 'allow');
    });
    const listening = once(listener, 'listening');
    listener.bind({ fd, exclusive: true });
    await listening;
  }
}

function short({ name }: Station): string {
  return name.replace(/^.*\//, '');
}
