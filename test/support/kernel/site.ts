/** Data planes under test, one for each node, and the way of a connection's first packet through them. */
import type { Dataplane, DesiredState } from '../../../src/dataplane/contract.ts';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { CompiledState } from '../../../src/model/compiled.ts';
import type { Binding, ExitLink } from '../../../src/model/links.ts';
import type { Protocol, Question } from '../oracle/oracle.ts';
import type { Place, TestCluster } from './cluster.ts';

export interface SiteNode {
  readonly dataplane: Dataplane;
  readonly exit: ExitLink;
  /** The interface that plays that of a pod; the same for the same pod as long as it is asked for in every state. */
  seatsOf(pods: Iterable<ObjectKey>): ReadonlyMap<ObjectKey, number>;
}

export interface Journey {
  readonly from: Place;
  readonly to: Place;
  readonly protocol: Protocol;
  readonly port: number;
}

/** Where the packet ended: `delivered`, or the place that dropped it. */
export type Arrival = 'delivered' | `dropped at ${string}`;

export interface Site {
  node(name: string): Promise<SiteNode>;
  /** Sends the first packet of a new connection. */
  send(journey: Journey): Arrival;
  close(): void;
}

/** Puts the state of every node of the cluster in force. */
export async function enforce(site: Site, cluster: TestCluster): Promise<void> {
  await Promise.all(
    cluster.nodes.map(async (name) => {
      const node = await site.node(name);
      const state = desiredState(node, cluster.compilerOf(name).state, cluster.ownAddresses(name));
      await node.dataplane.apply(state, undefined);
    }),
  );
}

/** Every local pod with an address on its own interface. */
export function desiredState(
  node: Pick<SiteNode, 'exit' | 'seatsOf'>,
  compiled: CompiledState,
  ownAddresses: ReadonlySet<Address>,
): DesiredState {
  const bindings = new Map<number, Binding>();
  for (const [pod, ifindex] of node.seatsOf(compiled.endpoints.keys())) {
    const addresses = compiled.endpoints.get(pod)?.addresses ?? [];
    const link = { ifindex, name: `seat${ifindex}`, addresses };
    bindings.set(ifindex, { kind: 'endpoint', link, pod, linkLocal: [] });
  }
  const exits = new Map([[node.exit.ifindex, node.exit]]);
  return { compiled, bindings, exits, ownAddresses, pending: 'closed' };
}

/** Undefined where an end has no address of the question's family. */
export function journeyOf(cluster: TestCluster, question: Question): Journey | undefined {
  const { from, to, family, protocol, port = 0 } = question;
  const [source, destination] = [cluster.placeOf(from, family), cluster.placeOf(to, family)];
  return source && destination && { from: source, to: destination, protocol, port };
}
