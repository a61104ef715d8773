/** The served cast as a lab whose nodes' agents enforce, by either data plane, what the test writes into their folder. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstValueFrom } from 'rxjs';
import type { DataplaneKind } from '../../src/dataplane/select.ts';
import { Agents } from '../../src/lab/agents/agents.ts';
import { type ClusterView, ClusterViews } from '../../src/lab/cluster-view.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { parseEnd } from '../../src/model/query.ts';
import { directorySource } from '../../src/sources/directory/directory-source.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { servedCast } from './served-cast.ts';

export class ServedLab {
  readonly lab: Lab;
  readonly #agents: Agents;
  readonly #folder: string;

  private constructor(lab: Lab, agents: Agents, folder: string) {
    this.lab = lab;
    this.#agents = agents;
    this.#folder = folder;
  }

  static async start(dataplane: DataplaneKind): Promise<ServedLab> {
    const folder = mkdtempSync(join(tmpdir(), 'selvedge-served-'));
    const { cluster } = await write(folder, 'cluster.yaml', servedCast);
    const lab = await Lab.start({ cluster, backend: 'vxlan', services: true });
    const agents = new Agents({ manifests: [folder], pinDir: lab.mountBpffs(), dataplane });
    const served = new ServedLab(lab, agents, folder);
    await agents.follow(lab.interfaces());
    return served;
  }

  /** Resolves once every node enforces these policies and no others. */
  async enforce(policies: readonly ClusterObject[]): Promise<void> {
    const { revision } = await write(this.#folder, 'policies.yaml', policies);
    await this.#agents.settled(revision);
  }

  /** Where a pod, or an address, is. */
  station(end: string, family: 'IPv4' | 'IPv6'): Station {
    const found = this.lab.stations.find(parseEnd(end));
    return found.find(({ address }) => address.includes(':') === (family === 'IPv6')) as Station;
  }

  async close(): Promise<void> {
    await this.#agents.stop();
    this.lab.close();
    rmSync(this.#folder, { recursive: true });
  }
}

async function write(folder: string, file: string, objects: readonly ClusterObject[]): Promise<ClusterView> {
  writeFileSync(join(folder, file), objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  const view = new ClusterViews().next(await firstValueFrom(directorySource([folder])));
  if (view.warnings.length > 0) throw new Error(JSON.stringify(view.warnings));
  return view;
}
