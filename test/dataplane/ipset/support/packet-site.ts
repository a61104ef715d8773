/** Nodes with the ipset data plane, and the way of a connection's first packet through one or two of them. */
import type { OpenOptions } from '../../../../src/dataplane/ipset/open.ts';
import { firstPacket } from '../../../support/kernel/packets.ts';
import type { Arrival, Journey, Site } from '../../../support/kernel/site.ts';
import { PacketNode } from './packet-node.ts';

export class PacketSite implements Site {
  readonly #purpose: string;
  readonly #options: OpenOptions;
  readonly #nodes = new Map<string, Promise<PacketNode>>();
  readonly #opened = new Map<string, PacketNode>();
  #sourcePort = 0;

  constructor(purpose: string, options: OpenOptions) {
    this.#purpose = purpose;
    this.#options = options;
  }

  node(name: string): Promise<PacketNode> {
    const node = this.#nodes.get(name) ?? this.#open(name);
    this.#nodes.set(name, node);
    return node;
  }

  send({ from, to, protocol, port }: Journey): Arrival {
    this.#sourcePort = (this.#sourcePort + 1) % 30_000;
    const sourcePort = 32_768 + this.#sourcePort;
    const packet = firstPacket({ source: from.address, destination: to.address, protocol, port, sourcePort });
    const away = from.kind === 'elsewhere' || to.kind === 'elsewhere' || from.node !== to.node;
    if (from.kind === 'pod') {
      // To its own node nothing is judged: there is no rule of ours on that way.
      if (!away && to.kind === 'node') return 'delivered';
      const node = this.#at(from.node);
      const target = !away && to.kind === 'pod' ? node.seatOf(to.pod) : node.exit.ifindex;
      const sender = node.seatOf(from.pod);
      // A bridge sends nothing back to where it came from; what a pod sends to itself stays in it.
      if (sender === target) return 'delivered';
      if (!node.passes(packet, sender, target)) return `dropped at ${node.namespace.name}`;
    }
    if (to.kind !== 'pod' || !away) return 'delivered';
    const node = this.#at(to.node);
    return node.passes(packet, node.exit.ifindex, node.seatOf(to.pod)) ? 'delivered' : `dropped at ${to.node}`;
  }

  close(): void {
    for (const node of this.#opened.values()) node.close();
  }

  #at(name: string): PacketNode {
    const node = this.#opened.get(name);
    if (node === undefined) throw new Error(`nothing is in force on ${name}`);
    return node;
  }

  async #open(name: string): Promise<PacketNode> {
    const node = await PacketNode.open(this.#purpose, this.#options);
    this.#opened.set(name, node);
    return node;
  }
}
