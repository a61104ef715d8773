/** The bridge with its pods, the data plane attached to it, and frames sent from inside one pod to another one. */

import { netns, PacketSocket, type PacketSocketOptions, RingBuffer } from 'selvedge-libbpf';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { CompiledState } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { TestCluster } from '../../support/kernel/cluster.ts';
import {
  attachmentsIn,
  openTestDataplane,
  type TestDataplane,
  type TestDataplaneOptions,
} from '../../support/kernel/dataplanes.ts';
import type { ClusterObject } from '../../support/oracle/objects.ts';
import { PATIENCE } from '../../support/patience.ts';
import { NODE, objects, POD_NAMES, PODS, type PodName } from './cast.ts';
import { Crossing, type OfferOptions, type Outcome } from './crossing.ts';
import { makeTopology, removeTopology, type Seat, seatOf, type TopologyOptions } from './topology.ts';

export interface BridgeNodeOptions extends TopologyOptions, Pick<TestDataplaneOptions, 'mapSizes' | 'constants'> {}

type Bound = ReadonlyMap<number, Binding>;

let count = 0;

export class BridgeNode {
  readonly namespace: string;
  readonly seats: Readonly<Record<PodName, Seat>>;
  readonly #opened: TestDataplane;
  readonly #ring: RingBuffer;
  readonly #sockets: ReadonlyMap<string, PacketSocket>;
  readonly #events: string[] = [];
  readonly #crossing: Crossing;
  readonly #onExit = () => this.close();
  #closed = false;

  private constructor(namespace: string, opened: TestDataplane) {
    this.namespace = namespace;
    this.#opened = opened;
    this.seats = Object.fromEntries(POD_NAMES.map((name) => [name, seatOf(namespace, name)])) as BridgeNode['seats'];
    this.#ring = new RingBuffer(opened.kernel.object.map('events'), (record) => {
      const { hook, reason } = opened.dataplane.events.event(record);
      this.#events.push(`${hook} ${reason}`);
    });
    this.#ring.unref();
    this.#sockets = new Map(POD_NAMES.map((name) => [name, this.openSocket(name)]));
    this.#crossing = new Crossing({
      socketOf: ({ name }) => this.socketOf(name as PodName),
      takeEvents: () => this.takeEvents(),
    });
    process.on('exit', this.#onExit);
  }

  static async open(
    purpose: string,
    { mapSizes, constants, ...topology }: BridgeNodeOptions = {},
  ): Promise<BridgeNode> {
    const namespace = `slv-${process.pid}-${purpose}${count++}`;
    let opened: TestDataplane | undefined;
    try {
      makeTopology(namespace, topology);
      opened = await openTestDataplane({
        ...(mapSizes && { mapSizes }),
        ...(constants && { constants }),
        replace: ({ attachments }) => ({ attachments: attachmentsIn(namespace, attachments) }),
      });
      const node = new BridgeNode(namespace, opened);
      node.#crossing.awaitCarrier(Object.values(PODS), PATIENCE);
      return node;
    } catch (error) {
      opened?.remove();
      removeTopology(namespace);
      throw error;
    }
  }

  get kernel(): TestDataplane['kernel'] {
    return this.#opened.kernel;
  }

  get dataplane(): TestDataplane['dataplane'] {
    return this.#opened.dataplane;
  }

  /** Puts these policies in force for the pods, each on its interface. */
  async apply(...policies: readonly ClusterObject[]): Promise<void> {
    const bindings = new Map(POD_NAMES.map((name) => [this.seats[name].ifindex, this.#bindingOf(name)]));
    await this.applyTo(() => bindings, policies);
  }

  /** The same with interfaces bound as somebody else says. */
  async applyTo(bind: (compiled: CompiledState) => Bound, policies: readonly ClusterObject[]): Promise<void> {
    const cluster = new TestCluster([...objects(), ...policies]);
    const { state: compiled } = cluster.compilerOf(NODE.name);
    const ownAddresses = cluster.ownAddresses(NODE.name);
    const state = { compiled, bindings: bind(compiled), exits: new Map(), ownAddresses, pending: 'closed' } as const;
    await this.dataplane.apply(state, undefined);
  }

  /** Sends a frame out of one pod and follows it to another one. */
  offer(from: PodName, to: PodName, frame: Uint8Array, options: OfferOptions = {}): Outcome {
    return this.#crossing.offer(PODS[from], PODS[to], frame, options);
  }

  socketOf(name: PodName): PacketSocket {
    return this.#sockets.get(name) as PacketSocket;
  }

  /** Another socket for frames as they are on a pod's own end of its veth. */
  openSocket(name: PodName, options: Partial<PacketSocketOptions> = {}): PacketSocket {
    const { namespace, inside } = this.seats[name];
    return netns.run(namespace, () => new PacketSocket({ ifindex: inside, promiscuous: true, ...options }));
  }

  /** Hook and reason of every drop that was told of since the last call. */
  takeEvents(): readonly string[] {
    this.#ring.consume();
    return this.#events.splice(0);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#onExit);
    this.#ring.close();
    for (const socket of this.#sockets.values()) socket.close();
    this.#opened.remove();
    removeTopology(this.namespace);
  }

  #bindingOf(name: PodName): Binding {
    const { addresses, linkLocal } = PODS[name];
    const link = {
      ifindex: this.seats[name].ifindex,
      name: `v${name}`,
      addresses: Object.values(addresses) as Address[],
    };
    return { kind: 'endpoint', link, pod: `default/${name}` as ObjectKey, linkLocal: [linkLocal as Address] };
  }
}
