/** A lab whose nodes are enforced by agents that a test API server feeds, which stands outside of the cluster. */

import { clusterOf } from '../../../src/lab/cluster-view.ts';
import { Lab } from '../../../src/lab/lab.ts';
import type { Station } from '../../../src/lab/probing/station.ts';
import { parseEnd } from '../../../src/model/query.ts';
import { OUTSIDE } from '../../../src/observe/matrix.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Kubeconfig } from '../../support/api-server/kubeconfig.ts';
import type { ApiObject } from '../../support/api-server/objects.ts';
import { TestCluster } from '../../support/kernel/cluster.ts';
import type { ClusterObject } from '../../support/oracle/objects.ts';
import { NodeAgent } from './node-agent.ts';

export class FedLab {
  readonly lab: Lab;
  readonly server: ApiServer;
  readonly #kubeconfig: Kubeconfig;
  readonly #pins: string;
  /** By node. */
  readonly agents = new Map<string, NodeAgent>();

  private constructor(lab: Lab, server: ApiServer) {
    this.lab = lab;
    this.server = server;
    this.#kubeconfig = new Kubeconfig({ server: server.url });
    this.#pins = lab.mountBpffs();
  }

  static async start(objects: readonly ClusterObject[]): Promise<FedLab> {
    const lab = await Lab.start({ cluster: clusterOf(new TestCluster(objects).objects), backend: 'vxlan' });
    try {
      const [outside] = lab.stations.find(parseEnd(OUTSIDE[4])) as [Station];
      const server = await ApiServer.listen({ namespace: outside.namespace, host: outside.address });
      server.put(...(objects as readonly unknown[] as readonly ApiObject[]));
      return new FedLab(lab, server);
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /** The agent of a node, in place of the one that it has had. */
  async startAgent(node: string): Promise<NodeAgent> {
    const namespace = this.lab.interfaces().find((one) => one.node === node)?.namespace as string;
    const pinDir = `${this.#pins}/${node}`;
    await this.agents.get(node)?.end('SIGKILL');
    const agent = new NodeAgent({ namespace, node, pinDir, args: ['--kubeconfig', this.#kubeconfig.path] });
    this.agents.set(node, agent);
    return agent;
  }

  /** The stations of a pod of the namespace `shop`, IPv4 first. */
  stations(name: string): readonly Station[] {
    return this.lab.stations.find(parseEnd(`shop/${name}`));
  }

  async close(): Promise<void> {
    await Promise.all([...this.agents.values()].map((agent) => agent.end('SIGKILL')));
    await this.server[Symbol.asyncDispose]();
    this.#kubeconfig[Symbol.dispose]();
    this.lab.close();
  }
}
