/** A random world: the raw objects of one state of a small cluster. */
import type { ClusterObject, Namespace, NetworkPolicy, Node, Pod } from '../oracle/objects.ts';

export interface World {
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly policies: readonly NetworkPolicy[];
}

export function objectsOf({ namespaces, nodes, pods, policies }: World): ClusterObject[] {
  return [...namespaces, ...nodes, ...pods, ...policies];
}

/** All names that pods and policies may live in; not every one has an object in every world. */
export const NAMESPACES = ['alpha', 'beta', 'gamma'] as const;

/** A pod that holds its own addresses: selectors may mean it and policies may isolate it. */
export function isLive(pod: Pod): boolean {
  return pod.spec.hostNetwork !== true && !isFinished(pod) && podIPsOf(pod).length > 0;
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function podIPsOf(pod: Pod): string[] {
  return (pod.status?.podIPs ?? []).map(({ ip }) => ip);
}
