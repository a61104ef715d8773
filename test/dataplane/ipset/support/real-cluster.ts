/** A cluster in the lab whose nodes are enforced by the ipset data plane, from the test's own process. */

import { Compiler } from '../../../../src/compile/compiler.ts';
import type { IpsetDataplane } from '../../../../src/dataplane/ipset/ipset-dataplane.ts';
import { type OpenOptions, openIpsetDataplane } from '../../../../src/dataplane/ipset/open.ts';
import { clusterOf } from '../../../../src/lab/cluster-view.ts';
import { Lab } from '../../../../src/lab/lab.ts';
import type { Station } from '../../../../src/lab/probing/station.ts';
import { Bindings } from '../../../../src/links/bindings.ts';
import type { ClusterEvent, ClusterObject } from '../../../../src/model/cluster.ts';
import type { NodeLinks } from '../../../../src/model/links.ts';
import { parseEnd } from '../../../../src/model/query.ts';
import { netns } from '../../../../src/native.ts';
import { slim } from '../../../support/kernel/cluster.ts';
import { linksOf } from '../../../support/kernel/links-of.ts';
import { makeTcpPatient } from '../../../support/kernel/patient-tcp.ts';
import { difference } from '../../../support/kernel/real-cluster.ts';
import type { ClusterObject as RawObject } from '../../../support/oracle/objects.ts';

interface Node {
  readonly compiler: Compiler;
  readonly bindings: Bindings;
  readonly links: NodeLinks;
  readonly dataplane: IpsetDataplane;
}

export class RealIpsetCluster {
  readonly lab: Lab;
  readonly #nodes: readonly Node[];
  #objects: readonly ClusterObject[] = [];

  private constructor(lab: Lab, nodes: readonly Node[]) {
    this.lab = lab;
    this.#nodes = nodes;
  }

  static async start(manifests: readonly RawObject[], options: OpenOptions): Promise<RealIpsetCluster> {
    const lab = await Lab.start({ cluster: clusterOf(manifests.map(slim)), backend: 'vxlan' });
    try {
      for (const { name } of lab.namespaces) netns.run(name, makeTcpPatient);
      const nodes = lab.interfaces().map(async ({ node, namespace }): Promise<Node> => {
        const within = <T>(start: () => T) => netns.run(namespace, start);
        const { dataplane } = await openIpsetDataplane({ auditEvery: 0, ...options, within });
        const compiler = new Compiler({ node });
        return { compiler, bindings: new Bindings('closed'), links: linksOf(namespace), dataplane };
      });
      const cluster = new RealIpsetCluster(lab, await Promise.all(nodes));
      await cluster.update(manifests);
      return cluster;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /** Policies, labels and namespaces may differ, pods and nodes must be those of the start. */
  async update(manifests: readonly RawObject[]): Promise<void> {
    const objects = manifests.map(slim);
    const first = this.#objects.length === 0;
    const events = difference(this.#objects, objects);
    this.#objects = objects;
    await Promise.all(this.#nodes.map((node) => apply(node, events, first)));
  }

  station(end: string, family: 'IPv4' | 'IPv6'): Station {
    const found = this.lab.stations.find(parseEnd(end));
    return found.find(({ address }) => address.includes(':') === (family === 'IPv6')) as Station;
  }

  close(): void {
    for (const { dataplane } of this.#nodes) dataplane.close();
    this.lab.close();
  }
}

async function apply(node: Node, events: readonly ClusterEvent[], first: boolean): Promise<void> {
  const { compiler, bindings, links, dataplane } = node;
  compiler.apply(events);
  const hint = compiler.takeChanges();
  const compiled = compiler.state;
  const bound = bindings.update(links, compiled);
  const pending = [...bound.values()].filter((binding) => binding.kind === 'pending');
  if (pending.length > 0) throw new Error(JSON.stringify(pending));
  const state = { compiled, bindings: bound, exits: links.exits, ownAddresses: links.ownAddresses, pending: 'closed' };
  await dataplane.apply(state as Parameters<IpsetDataplane['apply']>[0], first ? undefined : hint);
}
