/** The shop of examples/shop with a real agent on each node, and the sockets of their APIs. */
import { fileURLToPath } from 'node:url';
import { firstValueFrom } from 'rxjs';
import { Agents } from '../../src/lab/agents/agents.ts';
import { ClusterViews } from '../../src/lab/cluster-view.ts';
import { Lab } from '../../src/lab/lab.ts';
import { probe } from '../../src/lab/probing/probe.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { parseEnd } from '../../src/model/query.ts';
import { directorySource } from '../../src/sources/directory/directory-source.ts';

export const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url));

export class ShopLab {
  readonly lab: Lab;
  readonly agents: Agents;

  private constructor(lab: Lab, agents: Agents) {
    this.lab = lab;
    this.agents = agents;
  }

  static async start(dataplane: 'bpf' | 'ipset'): Promise<ShopLab> {
    const view = new ClusterViews().next(await firstValueFrom(directorySource([SHOP])));
    const lab = await Lab.start({ cluster: view.cluster, backend: 'vxlan' });
    const agents = new Agents({ manifests: [SHOP], dataplane, pinDir: lab.mountBpffs() });
    const shop = new ShopLab(lab, agents);
    try {
      await agents.follow(lab.interfaces());
      await agents.settled(view.revision, AbortSignal.timeout(60_000));
      return shop;
    } catch (error) {
      await shop.close();
      throw error;
    }
  }

  /** Of the agent on the node of this number, from 1. */
  socket(node: number): string {
    return this.agents.socketOf(this.lab.interfaces()[node - 1]?.namespace as string);
  }

  /** One TCP connection over IPv4: whether it was answered. */
  async reaches(from: string, to: string, port: number): Promise<boolean> {
    const [source] = this.lab.stations.find(parseEnd(from)) as [Station];
    const [destination] = this.lab.stations.find(parseEnd(to)) as [Station];
    const { verdict } = await probe({ from: source, to: destination, protocol: 'TCP', port });
    return verdict === 'allow';
  }

  async close(): Promise<void> {
    await this.agents.stop();
    this.lab.close();
  }
}
