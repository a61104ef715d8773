/**
 * Nodes whose packets are test-runs of the loaded programs: each node has its own maps and programs, all share one network
 * namespace, whose interfaces are the seats of their pods. A packet takes the hooks in the order that the kernel would.
 */

import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { BpfProgram, TestRunResult } from '../../../src/native.ts';
import { NO_ATTACHMENTS, openTestDataplane, ReusedFlowTables, type TestDataplane } from './dataplanes.ts';
import { firstPacket } from './packets.ts';
import type { Arrival, Journey, Site, SiteNode } from './site.ts';
import { TestNamespace } from './test-namespace.ts';

/** Interfaces that can be a pod's, for each node. */
const SEATS = 20;
/** Slots of endpoints: those of two states in a row, so that the numbers come round. */
const ENDPOINTS = 2 * SEATS + 8;

const CONTINUE = -1;
const SHOT = 2;

export type Hook = 'from_pod' | 'to_pod' | 'to_node';

export interface Step {
  readonly hook: Hook;
  readonly packet: Uint8Array;
  readonly ifindex: number;
  /** 0: the node itself sends. */
  readonly ingressIfindex: number;
  readonly mark: number;
}

export class KernelNode implements SiteNode {
  readonly name: string;
  readonly exit: { readonly ifindex: number; readonly name: string };
  readonly #site: KernelSite;
  readonly #opened: TestDataplane;
  readonly #flows: ReusedFlowTables;
  #seats: ReadonlyMap<ObjectKey, number> = new Map();

  constructor(name: string, site: KernelSite, opened: TestDataplane, flows: ReusedFlowTables) {
    this.name = name;
    this.#site = site;
    this.#opened = opened;
    this.#flows = flows;
    this.exit = { ifindex: site.uplink, name: 'uplink' };
  }

  get dataplane() {
    return this.#opened.dataplane;
  }

  program(hook: Hook): BpfProgram {
    return this.#opened.kernel.object.program(hook);
  }

  seatsOf(pods: Iterable<ObjectKey>): ReadonlyMap<ObjectKey, number> {
    const wanted = [...pods];
    const kept = wanted.flatMap((pod) => this.#seats.get(pod) ?? []);
    const free = this.#site.seats.filter((ifindex) => !kept.includes(ifindex));
    this.#seats = new Map(wanted.map((pod) => [pod, this.#seats.get(pod) ?? (free.shift() as number)]));
    return this.#seats;
  }

  seatOf(pod: ObjectKey): number {
    const ifindex = this.#seats.get(pod);
    if (ifindex === undefined) throw new Error(`${pod} has no interface on ${this.name}`);
    return ifindex;
  }

  /** Runs one hook; call it in the site's namespace. */
  run({ hook, packet, ifindex, ingressIfindex, mark }: Step): { readonly passed: boolean; readonly mark: number } {
    const result = this.program(hook).testRun({ packet, context: { ifindex, ingressIfindex, mark } });
    return { passed: isPassed(hook, result), mark: result.context?.mark ?? 0 };
  }

  /**
   * Sends a packet of one of the node's pods to another one through both hooks; call it in the site's namespace.
   * @returns what the second hook saw
   */
  pass(packet: Uint8Array, sender: number, receiver: number): Omit<Step, 'hook'> {
    const left = this.run({ hook: 'from_pod', packet, ifindex: sender, ingressIfindex: sender, mark: 0 });
    if (!left.passed) throw new Error('dropped at from_pod');
    const arriving = { packet, ifindex: receiver, ingressIfindex: sender, mark: left.mark };
    this.run({ hook: 'to_pod', ...arriving });
    return arriving;
  }

  forgetFlows(): void {
    this.#flows.clear();
  }

  close(): void {
    this.#flows.close();
    this.#opened.remove();
  }
}

function isPassed(hook: Hook, { returnValue }: TestRunResult): boolean {
  if (returnValue === CONTINUE || returnValue === SHOT) return returnValue === CONTINUE;
  throw new Error(`${hook} returned ${returnValue}`);
}

export class KernelSite implements Site {
  readonly namespace: TestNamespace;
  readonly #nodes = new Map<string, Promise<KernelNode>>();
  readonly #opened = new Map<string, KernelNode>();
  readonly #flows: number;
  #sourcePort = 0;

  /** `flows`: size of each endpoint's table of them. */
  constructor(purpose: string, flows = 128) {
    this.#flows = flows;
    const seats = Array.from({ length: SEATS }, (_, seat) => `seat${seat}`);
    this.namespace = new TestNamespace(purpose, ['uplink', ...seats]);
  }

  get uplink(): number {
    return this.namespace.ifindexes[0] as number;
  }

  get seats(): readonly number[] {
    return this.namespace.ifindexes.slice(1);
  }

  node(name: string): Promise<KernelNode> {
    const node = this.#nodes.get(name) ?? this.#open(name);
    this.#nodes.set(name, node);
    return node;
  }

  send(journey: Journey): Arrival {
    const ported = ['TCP', 'UDP', 'SCTP', 'ICMP'].includes(`${journey.protocol}`);
    // Without ports every packet between two pods is of one connection, and the second question would be a reply.
    if (!ported) for (const node of this.#opened.values()) node.forgetFlows();
    this.#sourcePort = (this.#sourcePort + 1) % 30_000;
    const { from, to, protocol, port } = journey;
    const sourcePort = 32_768 + this.#sourcePort;
    const packet = firstPacket({ source: from.address, destination: to.address, protocol, port, sourcePort });
    return this.namespace.run(() => this.travel(journey, packet));
  }

  /** Through every hook on its way; call it in the namespace. */
  travel({ from, to }: Pick<Journey, 'from' | 'to'>, packet: Uint8Array): Arrival {
    const away = from.kind === 'elsewhere' || to.kind === 'elsewhere' || from.node !== to.node;
    let mark = 0;
    let ingressIfindex = 0;
    if (from.kind !== 'elsewhere') {
      const node = this.#at(from.node);
      if (from.kind === 'pod') {
        ingressIfindex = node.seatOf(from.pod);
        const left = node.run({ hook: 'from_pod', packet, ifindex: ingressIfindex, ingressIfindex, mark: 0 });
        if (!left.passed) return `dropped at from_pod of ${from.pod}`;
        mark = left.mark;
      }
      if (away) {
        if (!node.run({ hook: 'to_node', packet, ifindex: this.uplink, ingressIfindex, mark }).passed)
          return `dropped at to_node of ${node.name}`;
      }
    }
    if (to.kind !== 'pod') return 'delivered';
    // On the wire nothing of the mark is left.
    if (away) [mark, ingressIfindex] = [0, this.uplink];
    const node = this.#at(to.node);
    const arrived = node.run({ hook: 'to_pod', packet, ifindex: node.seatOf(to.pod), ingressIfindex, mark });
    return arrived.passed ? 'delivered' : `dropped at to_pod of ${to.pod}`;
  }

  close(): void {
    for (const node of this.#opened.values()) node.close();
    this.namespace.close();
  }

  #at(name: string): KernelNode {
    const node = this.#opened.get(name);
    if (node === undefined) throw new Error(`nothing is in force on ${name}`);
    return node;
  }

  async #open(name: string): Promise<KernelNode> {
    let flows: ReusedFlowTables | undefined;
    const opened = await openTestDataplane({
      mapSizes: { endpoints: ENDPOINTS, flowsPerEndpoint: this.#flows },
      replace: (kernel) => {
        flows = new ReusedFlowTables(kernel);
        return { attachments: NO_ATTACHMENTS, flows };
      },
    });
    const node = new KernelNode(name, this, opened, flows as unknown as ReusedFlowTables);
    this.#opened.set(name, node);
    return node;
  }
}
