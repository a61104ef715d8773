/** Two network namespaces with a veth between them, in which everything passes until the server's side denies it. */
import { execFileSync } from 'node:child_process';
import { expect } from 'vitest';
import type { Ends } from '../../../../src/bench/compare/contract.ts';
import { netns } from '../../../../src/native.ts';
import { eventually } from '../../../support/eventually.ts';
import { ip, TestNamespace } from '../../../support/kernel/test-namespace.ts';

const ADDRESSES = {
  IPv4: { client: '10.77.0.1', server: '10.77.0.2', length: 24 },
  IPv6: { client: 'fd77::1', server: 'fd77::2', length: 64 },
} as const;
export type Family = keyof typeof ADDRESSES;

export class TwoEnds implements Disposable {
  readonly #client = new TestNamespace('client', []);
  readonly #server = new TestNamespace('server', []);

  /** When it resolves both sides have a carrier, without which nobody learns an IPv6 neighbour. */
  static async start(): Promise<TwoEnds> {
    const ends = new TwoEnds();
    await eventually(() => expect(ends.#states).toEqual(['UP', 'UP']));
    return ends;
  }

  private constructor() {
    const [client, server] = [this.#client.name, this.#server.name];
    ip(['link', 'add', 'veth0', 'netns', client, 'type', 'veth', 'peer', 'name', 'veth0', 'netns', server]);
    for (const [name, side] of [
      [client, 'client'],
      [server, 'server'],
    ] as const) {
      const { IPv4, IPv6 } = ADDRESSES;
      const lines = [
        `addr add ${IPv4[side]}/${IPv4.length} dev veth0`,
        `addr add ${IPv6[side]}/${IPv6.length} dev veth0 nodad`,
        'link set lo up',
        'link set veth0 up',
      ];
      ip(['-n', name, '-batch', '-'], lines.join('\n'));
    }
  }

  ends(family: Family = 'IPv4'): Ends {
    const { client, server } = ADDRESSES[family];
    return {
      client: { namespace: this.#client.name, address: client },
      server: { namespace: this.#server.name, address: server },
    };
  }

  deny(): void {
    this.#nft(
      'table inet denied { chain input { type filter hook input priority 0; meta l4proto { tcp, udp } drop; }; }',
    );
  }

  admit(): void {
    this.#nft('delete table inet denied');
  }

  /** Processes that are in there now. */
  get processes(): readonly number[] {
    return [this.#client, this.#server].flatMap(({ name }) => {
      return ip(['netns', 'pids', name]).split('\n').filter(Boolean).map(Number);
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
    this.#server.close();
  }

  get #states(): readonly string[] {
    return [this.#client, this.#server].map(({ name }) => {
      return JSON.parse(ip(['-n', name, '-json', 'link', 'show', 'veth0']))[0].operstate;
    });
  }

  #nft(command: string): void {
    netns.run(this.#server.name, () => execFileSync('nft', ['-f', '-'], { input: `${command}\n` }));
  }
}
