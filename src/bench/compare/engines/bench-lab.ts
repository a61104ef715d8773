/** One engine's own lab: the nodes and pods of the world as network namespaces. */
import { clusterOf } from '../../../lab/cluster-view.ts';
import { Lab } from '../../../lab/lab.ts';
import { nodeNamespace, podNamespace } from '../../../lab/network/names.ts';
import type { Ends, Topology, Traffic } from '../contract.ts';
import {
  addressOfPod,
  baseManifests,
  endsOf,
  keyOfPod,
  NODES,
  type NodeName,
  nodeOfPod,
  objectOf,
  type PodName,
} from '../world.ts';

export class BenchLab implements Disposable {
  readonly lab: Lab;

  static async start(): Promise<BenchLab> {
    const cluster = clusterOf(baseManifests().map(objectOf));
    return new BenchLab(await Lab.start({ cluster, backend: 'vxlan' }));
  }

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  ends(topology: Topology, traffic: Traffic): Ends {
    const { client, server } = endsOf(topology, traffic);
    return { client: this.#endOf(client), server: this.#endOf(server) };
  }

  /** By the node's name. */
  get nodes(): ReadonlyMap<NodeName, string> {
    return new Map(NODES.map((node) => [node, nodeNamespace(this.lab.id, node)]));
  }

  [Symbol.dispose](): void {
    this.lab.close();
  }

  #endOf(pod: PodName): Ends['client'] {
    return { namespace: podNamespace(this.lab.id, nodeOfPod(pod), keyOfPod(pod)), address: addressOfPod(pod) };
  }
}
