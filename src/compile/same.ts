/** Whether an object that came again says anything new: most updates of pods are heartbeats and must cost next to nothing. */
import { isDeepStrictEqual } from 'node:util';
import type { Labels, NetworkPolicy, Pod } from '../model/cluster.ts';

/** Compares what a verdict depends on; not where the object stands in a file. */
export function samePod(a: Pod, b: Pod): boolean {
  return (
    a.node === b.node &&
    a.hostNetwork === b.hostNetwork &&
    a.finished === b.finished &&
    sameItems(a.addresses, b.addresses, Object.is) &&
    sameItems(a.ports, b.ports, (p, q) => p.port === q.port && p.name === q.name && p.protocol === q.protocol) &&
    sameLabels(a.labels, b.labels)
  );
}

/** Of rules only what they admit, in their order: lines of files move whenever something above them is edited. */
export function samePolicy(a: NetworkPolicy, b: NetworkPolicy): boolean {
  return isDeepStrictEqual(contentOf(a), contentOf(b));
}

function contentOf({ podSelector, policyTypes, ingress, egress }: NetworkPolicy): unknown {
  const rules = [ingress, egress].map((list) => list.map(({ peers, ports }) => ({ peers, ports })));
  return { podSelector, policyTypes, rules };
}

function sameLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true;
  let left = 0;
  for (const key in a) {
    if (!Object.hasOwn(b, key) || a[key] !== b[key]) return false;
    left++;
  }
  for (const _ in b) left--;
  return left === 0;
}

function sameItems<Item>(a: readonly Item[], b: readonly Item[], same: (a: Item, b: Item) => boolean): boolean {
  return a === b || (a.length === b.length && a.every((item, i) => same(item, b[i] as Item)));
}
