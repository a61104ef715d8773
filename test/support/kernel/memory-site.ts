/** The in-memory data plane as a site: the source's node judges, then the destination's. */
import type { Dataplane } from '../../../src/dataplane/contract.ts';
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { Question } from '../../../src/model/verdict.ts';
import type { Arrival, Journey, Site, SiteNode } from './site.ts';

class MemoryNode implements SiteNode {
  readonly dataplane = new MemoryDataplane();
  readonly exit = { ifindex: 1, name: 'uplink' };

  seatsOf(pods: Iterable<ObjectKey>): ReadonlyMap<ObjectKey, number> {
    return new Map([...pods].map((pod, index) => [pod, index + 2]));
  }
}

export class MemorySite implements Site {
  readonly #nodes = new Map<string, MemoryNode>();

  node(name: string): Promise<SiteNode & { readonly dataplane: Dataplane }> {
    const node = this.#nodes.get(name) ?? new MemoryNode();
    this.#nodes.set(name, node);
    return Promise.resolve(node);
  }

  send({ from, to, protocol, port }: Journey): Arrival {
    const named = protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'other';
    const question: Question = { source: from.address, destination: to.address, protocol: named, port };
    for (const place of [from, to]) {
      if (place.kind === 'elsewhere') continue;
      if (this.#nodes.get(place.node)?.dataplane.judge(question).allowed === false) return `dropped at ${place.node}`;
    }
    return 'delivered';
  }

  close(): void {
    for (const { dataplane } of this.#nodes.values()) dataplane.close();
  }
}
