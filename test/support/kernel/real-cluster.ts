/**
 * A cluster in the lab whose nodes are enforced from this process: the lab's pods and veths, a compiler and a BPF data
 * plane for each node, so that a test knows when a state is in force without asking a log.
 */

import type { Compiler } from '../../../src/compile/compiler.ts';
import type { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import { clusterOf } from '../../../src/lab/cluster-view.ts';
import { Lab } from '../../../src/lab/lab.ts';
import type { Station } from '../../../src/lab/probing/station.ts';
import { Bindings } from '../../../src/links/bindings.ts';
import { type ClusterEvent, type ClusterObject, keyOf } from '../../../src/model/cluster.ts';
import type { NodeLinks } from '../../../src/model/links.ts';
import { parseEnd } from '../../../src/model/query.ts';
import { netns } from '../../../src/native.ts';
import type { ClusterObject as RawObject } from '../oracle/objects.ts';
import { TestCluster } from './cluster.ts';
import { attachmentsIn, openTestDataplane, type TestDataplane } from './dataplanes.ts';
import { linksOf } from './links-of.ts';
import { makeTcpPatient } from './patient-tcp.ts';

export class RealNode {
  readonly name: string;
  readonly namespace: string;
  #opened: TestDataplane;
  readonly #compiler: Compiler;
  readonly #bindings = new Bindings('closed');
  readonly #links: NodeLinks;
  #unknown = true;

  constructor(name: string, namespace: string, opened: TestDataplane, compiler: Compiler) {
    this.name = name;
    this.namespace = namespace;
    this.#opened = opened;
    this.#compiler = compiler;
    this.#links = linksOf(namespace);
  }

  get dataplane(): BpfDataplane {
    return this.#opened.dataplane;
  }

  get kernel() {
    return this.#opened.kernel;
  }

  /** Resolves once the events are in force. */
  async apply(events: () => readonly ClusterEvent[]): Promise<void> {
    // What arrives until the data plane can write joins this step, as in the agent.
    await this.dataplane.ready();
    this.#compiler.apply(events());
    const hint = this.#compiler.takeChanges();
    const compiled = this.#compiler.state;
    const { exits, ownAddresses } = this.#links;
    const bindings = this.#bindings.update(this.#links, compiled);
    const pending = [...bindings.values()].filter((binding) => binding.kind === 'pending');
    if (pending.length > 0) throw new Error(`${this.name}: ${JSON.stringify(pending)}`);
    const state = { compiled, bindings, exits, ownAddresses, pending: 'closed' } as const;
    await this.dataplane.apply(state, this.#unknown ? undefined : hint);
    this.#unknown = false;
  }

  /** As an agent that ends and comes back to the same state. */
  async restart(): Promise<void> {
    this.#opened = await this.#opened.restart();
    this.#unknown = true;
    await this.apply(() => []);
  }

  remove(): void {
    this.#opened.remove();
  }
}

export class RealCluster {
  readonly lab: Lab;
  readonly nodes: readonly RealNode[];
  #objects: readonly ClusterObject[];

  private constructor(lab: Lab, nodes: readonly RealNode[], objects: readonly ClusterObject[]) {
    this.lab = lab;
    this.nodes = nodes;
    this.#objects = objects;
  }

  /** With these nodes and pods, and these policies in force; the nodes translate Services if there are any. */
  static async start(manifests: readonly RawObject[]): Promise<RealCluster> {
    const cluster = new TestCluster(manifests);
    const { objects } = cluster;
    const played = clusterOf(objects);
    const lab = await Lab.start({ cluster: played, backend: 'vxlan', services: played.services?.length !== 0 });
    try {
      const nodes = await Promise.all(
        lab.interfaces().map(async ({ node, namespace }) => {
          const replace = (kernel: TestDataplane['kernel']) => {
            return { attachments: attachmentsIn(namespace, kernel.attachments) };
          };
          const opened = await openTestDataplane({ replace });
          return new RealNode(node, namespace, opened, cluster.compilerOf(node));
        }),
      );
      for (const { name } of lab.namespaces) netns.run(name, makeTcpPatient);
      const real = new RealCluster(lab, nodes, objects);
      await real.apply([]);
      return real;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /** Policies, labels and namespaces may differ, pods and nodes must be those of the start. */
  async update(manifests: readonly RawObject[]): Promise<void> {
    const { objects } = new TestCluster(manifests);
    const events = difference(this.#objects, objects);
    this.#objects = objects;
    await this.apply(events);
  }

  async apply(events: readonly ClusterEvent[]): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.apply(() => events)));
  }

  node(name: string): RealNode {
    return this.nodes.find((node) => node.name === name) as RealNode;
  }

  /** Where a pod, or an address, is. */
  station(end: string, family: 'IPv4' | 'IPv6'): Station {
    const found = this.lab.stations.find(parseEnd(end));
    return found.find(({ address }) => address.includes(':') === (family === 'IPv6')) as Station;
  }

  close(): void {
    for (const node of this.nodes) node.remove();
    this.lab.close();
  }
}

export function difference(before: readonly ClusterObject[], after: readonly ClusterObject[]): ClusterEvent[] {
  const idOf = (object: ClusterObject) => `${object.kind} ${keyOf(object)}`;
  const old = new Map(before.map((object) => [idOf(object), object]));
  const wanted = new Set(after.map(idOf));
  const gone = before.filter((object) => !wanted.has(idOf(object)));
  const changed = after.filter((object) => JSON.stringify(old.get(idOf(object))) !== JSON.stringify(object));
  return [
    ...gone.map((object) => ({ type: 'delete', kind: object.kind, key: keyOf(object) }) as const),
    ...changed.map((object) => ({ type: 'upsert', object }) as const),
  ];
}
