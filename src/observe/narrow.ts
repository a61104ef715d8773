/** All objects of a cluster and a query -> those on which its answer depends, so that a big cluster is not worked out for it. */
import type { Address } from '../model/address.ts';
import { type ClusterObject, keyOf, type Pod } from '../model/cluster.ts';
import type { AnyQuery, End } from '../model/query.ts';

export interface Narrowed {
  /** What tells who the ends are, and apart from whom. */
  readonly objects: readonly ClusterObject[];
  /** Of these, what the verdict comes from: the ends, whoever claims their addresses, and their namespaces' policies. */
  readonly judged: readonly ClusterObject[];
}

export function narrowed(all: readonly ClusterObject[], query: AnyQuery): Narrowed {
  const ends: readonly End[] = [query.from, query.to];
  const addresses = new Set<Address>(ends.flatMap((end) => (end.kind === 'address' ? [end.address] : [])));
  const keys = new Set<string>(ends.flatMap((end) => (end.kind === 'pod' ? [end.key] : [])));
  const claims = (pod: Pod) => pod.addresses.some((address) => addresses.has(address));
  for (const object of all) {
    if (object.kind === 'Pod' && keys.has(keyOf(object)))
      for (const address of object.addresses) addresses.add(address);
  }
  const isEnd = (pod: Pod) => keys.has(keyOf(pod)) || claims(pod);
  const namespaces = new Set(all.flatMap((one) => (one.kind === 'Pod' && isEnd(one) ? [one.namespace] : [])));
  const objects = all.filter((object) => {
    if (object.kind === 'NetworkPolicy') return namespaces.has(object.namespace);
    return object.kind !== 'Pod' || object.hostNetwork || namespaces.has(object.namespace) || claims(object);
  });
  return { objects, judged: objects.filter((object) => object.kind !== 'Pod' || isEnd(object)) };
}
