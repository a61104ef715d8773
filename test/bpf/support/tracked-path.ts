// A packet path in a namespace whose kernel tracks connections: all ends have their addresses on its loopback, where real
// sockets talk, some of them through a Service, a port of the node, or masqueraded.
import { netns, socket } from '../../../src/native.ts';
import { ip } from '../../support/kernel/test-namespace.ts';
import { PacketPath } from './packet-path.ts';
import { type End, FAMILIES, type Family, Traffic } from './traffic.ts';

/** Of UDP, for api's port 53. */
export const NODE_PORT = 30_053;

export class TrackedPath extends PacketPath {
  constructor(purpose: string) {
    super(purpose, { rodata: { conntrack: 1 } });
    this.inside(() => {
      ip(['link', 'set', 'lo', 'up']);
      for (const family of FAMILIES) this.#addAddresses(new Traffic(family));
    });
    for (const family of FAMILIES) this.#addRules(new Traffic(family));
  }

  inside<T>(fn: () => T): T {
    return netns.run(this.namespace.name, fn);
  }

  /** A datagram there and one back, so that conntrack has seen both. @returns the source port that the server saw */
  converse(
    t: Traffic,
    [from, sourcePort]: [End, number],
    [to, toPort]: [End, number],
    [at, atPort]: [End, number],
  ): number {
    const fds: number[] = [];
    const open = (end: End, port: number) => {
      const fd = socket.open({ family: t.family, type: 'udp', bind: { address: t.address(end), port } });
      fds.push(fd);
      return fd;
    };
    return this.inside(() => {
      try {
        const server = open(at, atPort);
        const client = open(from, sourcePort);
        socket.send(client, Buffer.from('request'), { address: t.address(to), port: toPort });
        const seen = socket.receive(server, 2000);
        if (seen === undefined) throw new Error('the request did not arrive');
        socket.send(server, Buffer.from('reply'), { address: seen.address, port: seen.port });
        const { address, port } = socket.receive(client, 2000) ?? {};
        if (address !== t.address(to) || port !== toPort) throw new Error(`the reply came from ${address} ${port}`);
        return seen.port;
      } finally {
        for (const fd of fds) socket.close(fd);
      }
    });
  }

  #addAddresses(t: Traffic): void {
    ip([`-${t.family}`, 'route', 'add', 'default', 'dev', 'lo']);
    const [length, more] = t.family === 4 ? [32, []] : [128, ['nodad']];
    for (const end of ['web', 'api', 'world', 'node'] as const)
      ip(['address', 'add', `${t.address(end)}/${length}`, 'dev', 'lo', ...more]);
  }

  #addRules(t: Traffic): void {
    const api = t.family === 4 ? `${t.address('api')}:53` : `[${t.address('api')}]:53`;
    // A rule that asks for states is what makes the kernel track connections.
    this.#addRule(t.family, '-A INPUT -m conntrack --ctstate INVALID -j DROP');
    for (const [end, port] of [
      ['service', 80],
      ['node', NODE_PORT],
    ] as const) {
      const match = `-p udp -d ${t.address(end)} --dport ${port}`;
      this.#addRule(t.family, `-t nat -A OUTPUT ${match} -j DNAT --to-destination ${api}`);
    }
    const match = `-p udp -s ${t.address('world')} --dport 53`;
    this.#addRule(t.family, `-t nat -A POSTROUTING ${match} -j SNAT --to-source ${t.address('node')}`);
  }

  #addRule(family: Family, rule: string): void {
    ip(['netns', 'exec', this.namespace.name, family === 4 ? 'iptables' : 'ip6tables', '-w', ...rule.split(' ')]);
  }
}
