/** One node under test: raw objects are put in force as an agent would, update by update, and packets asked about. */
import { Compiler } from '../../../../src/compile/compiler.ts';
import type { Applied, DesiredState } from '../../../../src/dataplane/contract.ts';
import type { IpsetDataplane } from '../../../../src/dataplane/ipset/ipset-dataplane.ts';
import { type OpenOptions, openIpsetDataplane } from '../../../../src/dataplane/ipset/open.ts';
import type { Address } from '../../../../src/model/address.ts';
import type { ClusterObject } from '../../../../src/model/cluster.ts';
import { verdictOf } from '../../../../src/model/verdict.ts';
import { slim, TestCluster } from '../../../support/kernel/cluster.ts';
import { firstPacket } from '../../../support/kernel/packets.ts';
import { difference } from '../../../support/kernel/real-cluster.ts';
import { desiredState } from '../../../support/kernel/site.ts';
import type { ClusterObject as RawObject } from '../../../support/oracle/objects.ts';
import type { Question } from '../../../support/oracle/oracle.ts';
import { PacketNode } from './packet-node.ts';

const NODE = 'node1';

export class EnforcedNode {
  readonly packets: PacketNode;
  readonly #options: OpenOptions;
  #dataplane: IpsetDataplane;
  #compiler = new Compiler({ node: NODE });
  #objects: readonly ClusterObject[] = [];
  #cluster = new TestCluster([]);
  #whole = true;
  #sourcePort = 20_000;

  private constructor(packets: PacketNode, options: OpenOptions) {
    this.packets = packets;
    this.#options = options;
    this.#dataplane = packets.dataplane;
  }

  static async open(purpose: string, options: OpenOptions): Promise<EnforcedNode> {
    return new EnforcedNode(await PacketNode.open(purpose, options), options);
  }

  get dataplane(): IpsetDataplane {
    return this.#dataplane;
  }

  get namespace(): string {
    return this.packets.namespace.name;
  }

  /** The next agent: what the one before has left stays in force until its first state. */
  async restart(more: OpenOptions = {}): Promise<void> {
    this.#dataplane.close();
    const within = <T>(start: () => T) => this.packets.namespace.run(start);
    const opened = await openIpsetDataplane({ auditEvery: 0, ...this.#options, ...more, within });
    this.#dataplane = opened.dataplane;
    this.#compiler = new Compiler({ node: NODE });
    this.#objects = [];
    this.#whole = true;
  }

  /** Pods keep their ports as long as they are in every state. */
  async apply(raw: readonly RawObject[]): Promise<Applied> {
    const objects = raw.map(slim);
    this.#compiler.apply(difference(this.#objects, objects));
    this.#objects = objects;
    this.#cluster = new TestCluster(raw);
    const changes = this.#compiler.takeChanges();
    const hint = this.#whole ? undefined : changes;
    // As the agent does: after a failure anything may differ.
    this.#whole = true;
    const applied = await this.#dataplane.apply(this.state(), hint);
    this.#whole = false;
    return applied;
  }

  state(): DesiredState {
    return desiredState(this.packets, this.#compiler.state, this.#cluster.ownAddresses(NODE));
  }

  /** Whether the first packet of a new connection comes out where it should. */
  passes(question: Question): boolean {
    const { frame, from, to } = this.journey(question);
    return this.packets.passes(frame, from, to);
  }

  /** What the state says of it, as one between ports: the node's own address is one like any other there. */
  admits(question: Question): boolean {
    const [source, destination] = this.#placesOf(question);
    const { protocol, port = 0 } = question;
    const named = protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'other';
    const ends = { source: source.address, destination: destination.address };
    return verdictOf(this.#compiler.state, { ...ends, protocol: named, port }).allowed;
  }

  /** The first packet of a new connection, and the ports of the node on its way. */
  journey(question: Question) {
    const { protocol, port = 0 } = question;
    const [source, target] = this.#placesOf(question);
    this.#sourcePort = this.#sourcePort === 60_000 ? 20_000 : this.#sourcePort + 1;
    const ends = { source: source.address, destination: target.address };
    const frame = firstPacket({ ...ends, protocol, port, sourcePort: this.#sourcePort });
    return { frame, from: source.port, to: target.port };
  }

  #placesOf({ from, to, family }: Question): [Place, Place] {
    return [from, to].map((end) => {
      const place = this.#cluster.placeOf(end, family);
      if (place === undefined) throw new Error(`${end} has no ${family} address`);
      const here = place.kind === 'pod' && place.node === NODE;
      return { address: place.address, port: here ? this.packets.seatOf(place.pod) : this.packets.exit.ifindex };
    }) as [Place, Place];
  }

  close(): void {
    this.#dataplane.close();
    this.packets.close();
  }
}

interface Place {
  readonly address: Address;
  readonly port: number;
}
