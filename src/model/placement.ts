/** Pods that no node was named for get one: by rendezvous hashing, so that a pod or node that is added moves no other pod between other nodes. */
import type { ClusterObject, Pod } from './cluster.ts';

/** The node of a cluster whose manifests name none. */
export const ONLY_NODE = 'node1';

/** The names of all nodes, sorted: those of Node objects, those that pods name, and the `others`; one when there are none. */
export function nodeNames(objects: Iterable<ClusterObject>, others: Iterable<string> = []): string[] {
  const names = new Set<string>(others);
  for (const object of objects) {
    if (object.kind === 'Node') names.add(object.name);
    else if (object.kind === 'Pod' && object.node !== undefined) names.add(object.node);
  }
  return names.size === 0 ? [ONLY_NODE] : [...names].sort();
}

/** The same objects, every pod on a node: without `spec.nodeName` on the one whose hash with the pod's key is highest. */
export function placePods(objects: readonly ClusterObject[]): ClusterObject[] {
  const nodes = nodeNames(objects).map((name) => ({ name, hash: hashOf(name) }));
  const nodeOf = (pod: Pod): string => {
    const podHash = hashOf(`${pod.namespace}/${pod.name}`);
    let best = { name: '', score: -1 };
    for (const { name, hash } of nodes) {
      const score = mix(podHash ^ mix(hash));
      if (score > best.score) best = { name, score };
    }
    return best.name;
  };
  return objects.map((object) =>
    object.kind === 'Pod' && object.node === undefined ? { ...object, node: nodeOf(object) } : object,
  );
}

/** 32 bits that depend on every character (FNV-1a, then mixed). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Spreads every bit of a number over all 32 (the finalizer of MurmurHash3). */
export function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
