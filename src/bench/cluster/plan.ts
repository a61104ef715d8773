/** Who measures what in a cluster: servers, clients and who takes turns; manifests and pods agree on it here. */
import type { Topology, Traffic } from '../compare/contract.ts';
import type { Nodes } from './options.ts';

/** The service of the load generators is on the first, its sink on the next; the policies' last one admits these. */
export const PORTS = { load: 5_200, sink: 5_201, turns: 5_299, forbidden: 5_300 } as const;

/** Names of Services and of what runs behind them. `server` is under all policies, the others under none. */
export const SERVERS = { server: 'server', free: 'free-server', turns: 'turns' } as const;

export interface Client {
  readonly name: string;
  readonly topology: Topology;
  readonly traffic: Exclude<Traffic, 'denied'>;
}

/** Without policies there is nobody who could be under them. */
export function clientsOf(nodes: Nodes, policies: number): readonly Client[] {
  const topologies: Topology[] = [
    ...(nodes === 'other' ? [] : (['one-node'] as const)),
    ...(nodes === 'same' ? [] : (['two-nodes'] as const)),
  ];
  const traffics = policies === 0 ? (['unselected'] as const) : (['allowed', 'unselected'] as const);
  return topologies.flatMap((topology) =>
    traffics.map((traffic) => ({ name: `client-${topology}-${traffic}`, topology, traffic })),
  );
}

/** Of whom a client asks. */
export function serverOf(traffic: Client['traffic']): string {
  return traffic === 'allowed' ? SERVERS.server : SERVERS.free;
}
