/** Questions to a small node that are asked all the time, and connections that never fall silent, while something else happens. */
import { retransmissions } from '../../support/kernel/retransmissions.ts';
import { openStream, type Stream } from '../../support/kernel/stream.ts';
import { PATIENCE } from '../../support/patience.ts';
import type { SmallNode } from './small-node.ts';

export interface TrafficOptions {
  readonly node: SmallNode;
  /** `FROM TO` of first packets that must pass, and that must not, at every moment. */
  readonly admitted: readonly string[];
  readonly denied: readonly string[];
  /** `FROM TO`: connections over TCP and UDP, on which either end speaks. */
  readonly connected: readonly string[];
}

export interface TrafficReport {
  readonly rounds: number;
  readonly messages: number;
  /** What was not as it must be: a line each. */
  readonly wrong: readonly string[];
}

/** Between two rounds, in milliseconds. */
const PAUSE = 2;
const PORT = 9000;

export class Traffic {
  readonly #options: TrafficOptions;
  readonly #streams: Stream[];
  readonly #wrong: string[] = [];
  readonly #loop: Promise<void>;
  #rounds = 0;
  #stopped = false;

  static async start(options: TrafficOptions): Promise<Traffic> {
    const streams = options.connected.flatMap((pair, place) => {
      const [from, to] = pair.split(' ').map((name) => options.node.pod(name)) as [never, never];
      return (['up', 'down'] as const).flatMap((direction, turn) =>
        (['TCP', 'UDP'] as const).map((protocol) => {
          return openStream({ from, to, protocol, port: PORT + 2 * place + turn, direction });
        }),
      );
    });
    return new Traffic(options, await Promise.all(streams));
  }

  private constructor(options: TrafficOptions, streams: Stream[]) {
    this.#options = options;
    this.#streams = streams;
    this.#loop = this.#run();
  }

  /** Rounds so far: a test waits for some, to be sure that it has been asked meanwhile. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Ends it, with what is still on its way. */
  async end(): Promise<TrafficReport> {
    this.#stopped = true;
    await this.#loop;
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE).unref());
    await Promise.race([late, Promise.all(this.#streams.map((stream) => stream.arrived(stream.sent)))]);
    const lost = this.#streams.filter(({ sent, received }) => received < sent);
    const lines = lost.map(({ name, sent, received, last }) => `${name}: ${received} of ${sent}, the last ${last}`);
    const resent = this.#streams.flatMap((stream) => retransmissions(stream));
    const messages = this.#streams.reduce((sum, { sent }) => sum + sent, 0);
    this.close();
    return { rounds: this.#rounds, messages, wrong: [...this.#wrong, ...lines, ...resent] };
  }

  /** Idempotent. */
  close(): void {
    this.#stopped = true;
    for (const stream of this.#streams.splice(0)) stream.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const pair of this.#options.admitted) this.#ask(pair, true);
      for (const pair of this.#options.denied) this.#ask(pair, false);
      for (const stream of this.#streams) stream.send();
      this.#rounds++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  #ask(pair: string, wanted: boolean): void {
    const [from, to] = pair.split(' ') as [string, string];
    try {
      if (this.#options.node.reaches(from, to) === wanted) return;
      this.#wrong.push(`round ${this.#rounds}: ${pair} ${wanted ? 'did not pass' : 'passed'}`);
    } catch (error) {
      this.#wrong.push(`round ${this.#rounds}: ${pair}: ${(error as Error).message}`);
    }
  }
}
