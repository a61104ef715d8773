/** Raw objects -> a lab whose nodes each have the ipset data plane, in this process: states are put in force by a call. */
import { firstValueFrom, take } from 'rxjs';
import { Compiler } from '../../../../src/compile/compiler.ts';
import type { DesiredState, Hint } from '../../../../src/dataplane/contract.ts';
import type { IpsetDataplane } from '../../../../src/dataplane/ipset/ipset-dataplane.ts';
import { type OpenOptions, openIpsetDataplane } from '../../../../src/dataplane/ipset/open.ts';
import type { Variant, Within } from '../../../../src/dataplane/ipset/programs.ts';
import { clusterOf } from '../../../../src/lab/cluster-view.ts';
import { Lab } from '../../../../src/lab/lab.ts';
import { Bindings } from '../../../../src/links/bindings.ts';
import { linkSource } from '../../../../src/links/link-source.ts';
import { allocate } from '../../../../src/model/allocate.ts';
import { type ClusterEvent, type ClusterObject, keyOf } from '../../../../src/model/cluster.ts';
import type { NodeLinks } from '../../../../src/model/links.ts';
import { netns } from '../../../../src/native.ts';

export interface ClusterOptions extends Omit<OpenOptions, 'within'> {
  readonly variant: Variant;
}

export class EnforcedCluster {
  readonly lab: Lab;
  readonly #options: ClusterOptions;
  readonly #nodes = new Map<string, EnforcedNode>();

  private constructor(lab: Lab, options: ClusterOptions) {
    this.lab = lab;
    this.#options = options;
  }

  static async start(objects: readonly ClusterObject[], options: ClusterOptions): Promise<EnforcedCluster> {
    const whole = allocate(objects).objects;
    const lab = await Lab.start({ cluster: clusterOf(whole), backend: 'vxlan' });
    const cluster = new EnforcedCluster(lab, options);
    try {
      await cluster.update(objects);
      return cluster;
    } catch (error) {
      cluster.close();
      throw error;
    }
  }

  /** Brings network, sets and rules to these objects. */
  async update(objects: readonly ClusterObject[]): Promise<void> {
    const whole = allocate(objects).objects;
    await this.lab.update(clusterOf(whole));
    const places = this.lab.interfaces();
    for (const [key, node] of this.#nodes) {
      if (places.some(({ inode }) => key === `${inode}`)) continue;
      node.dataplane.close();
      this.#nodes.delete(key);
    }
    for (const { node, namespace, inode } of places) {
      const known = this.#nodes.get(`${inode}`);
      if (known === undefined) this.#nodes.set(`${inode}`, await EnforcedNode.open(node, namespace, this.#options));
    }
    await Promise.all([...this.#nodes.values()].map((node) => node.apply(whole)));
  }

  node(name: string): EnforcedNode {
    return [...this.#nodes.values()].find((node) => node.name === name) as EnforcedNode;
  }

  close(): void {
    for (const { dataplane } of this.#nodes.values()) dataplane.close();
    this.lab.close();
  }
}

export class EnforcedNode {
  readonly name: string;
  readonly namespace: string;
  readonly dataplane: IpsetDataplane;
  readonly #compiler: Compiler;
  readonly #bindings = new Bindings('auto');
  #objects = new Map<string, ClusterObject>();
  #known = false;

  private constructor(name: string, namespace: string, dataplane: IpsetDataplane) {
    this.name = name;
    this.namespace = namespace;
    this.dataplane = dataplane;
    this.#compiler = new Compiler({ node: name });
  }

  static async open(name: string, namespace: string, options: OpenOptions): Promise<EnforcedNode> {
    const { dataplane } = await openIpsetDataplane({ auditEvery: 0, ...options, within: inside(namespace) });
    return new EnforcedNode(name, namespace, dataplane);
  }

  get state(): Promise<DesiredState> {
    return this.#desired();
  }

  async apply(objects: readonly ClusterObject[]): Promise<void> {
    const next = new Map(objects.map((object) => [`${object.kind} ${keyOf(object)}`, object]));
    const gone = [...this.#objects].filter(([key]) => !next.has(key));
    const events: ClusterEvent[] = [
      ...gone.map(([, object]): ClusterEvent => ({ type: 'delete', kind: object.kind, key: keyOf(object) })),
      ...objects.map((object): ClusterEvent => ({ type: 'upsert', object })),
    ];
    this.#compiler.apply(events);
    this.#objects = next;
    const changes = this.#compiler.takeChanges();
    const hint: Hint = this.#known ? changes : undefined;
    this.#known = true;
    await this.dataplane.apply(await this.#desired(), hint);
  }

  async #desired(): Promise<DesiredState> {
    const { pods, exits, ownAddresses } = await linksOf(this.namespace);
    const { state } = this.#compiler;
    return {
      compiled: state,
      bindings: this.#bindings.update(pods, state),
      exits,
      ownAddresses,
      pending: this.#bindings.pendingVerdict(state),
    };
  }
}

/** Runs things in a network namespace. */
export function inside(namespace: string): Within {
  return (start) => netns.run(namespace, start);
}

/** They are listed within the call, so the first value is that of the namespace. */
function linksOf(namespace: string): Promise<NodeLinks> {
  return netns.run(namespace, () => ({ links: firstValueFrom(linkSource().pipe(take(1))) })).links;
}
