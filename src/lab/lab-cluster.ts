/** What of a cluster the lab plays: its nodes, the pods that run, and the Services where nodes translate them. */
import type { Address } from '../model/address.ts';
import { keyOf, type Node, type Pod, type Service } from '../model/cluster.ts';

/** What of a cluster the lab's network depends on. Pods are placed on nodes and have their addresses. */
export interface LabCluster {
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  /** Translated by the nodes where that is asked for. */
  readonly services?: readonly Service[];
}

/**
 * Those that have an interface or share the node's: not finished, placed on a node of the cluster, with an address.
 * Sorted by key.
 */
export function runningPods({ nodes, pods }: LabCluster): readonly Pod[] {
  const names = new Set(nodes.map(({ name }) => name));
  return pods
    .filter((pod) => !pod.finished && pod.node !== undefined && names.has(pod.node))
    .filter((pod) => pod.hostNetwork || pod.addresses.length > 0)
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Addresses that several pods claim; each has them, but no two can be reached. */
export function contestedAddresses(pods: readonly Pod[]): ReadonlySet<Address> {
  const claims = new Map<Address, number>();
  for (const pod of pods) {
    if (!pod.hostNetwork) for (const address of pod.addresses) claims.set(address, (claims.get(address) ?? 0) + 1);
  }
  return new Set([...claims].filter(([, count]) => count > 1).map(([address]) => address));
}
