/** The events of a source -> the cluster as it stands, for those who want it whole. */
import { type ClusterChange, type ClusterObject, keyOf, type NetworkPolicy, type Warning } from '../model/cluster.ts';
import type { LabCluster } from './lab-cluster.ts';

export interface ClusterView {
  readonly objects: readonly ClusterObject[];
  readonly cluster: LabCluster;
  readonly policies: readonly NetworkPolicy[];
  readonly revision: string | undefined;
  /** Whether the source has delivered everything that was there. */
  readonly synced: boolean;
  readonly warnings: readonly Warning[];
}

/** Folds one change after the other. */
export class ClusterViews {
  readonly #objects = new Map<string, ClusterObject>();

  next({ events, revision, synced, warnings }: ClusterChange): ClusterView {
    for (const event of events) {
      if (event.type === 'upsert') this.#objects.set(`${event.object.kind} ${keyOf(event.object)}`, event.object);
      else this.#objects.delete(`${event.kind} ${event.key}`);
    }
    const objects = [...this.#objects.values()];
    const policies = objects.filter((object) => object.kind === 'NetworkPolicy');
    return { objects, cluster: clusterOf(objects), policies, revision, synced, warnings };
  }
}

export function clusterOf(objects: Iterable<ClusterObject>): LabCluster {
  const all = [...objects];
  return {
    nodes: all.filter((object) => object.kind === 'Node'),
    pods: all.filter((object) => object.kind === 'Pod'),
    services: all.filter((object) => object.kind === 'Service'),
  };
}

/** `policies.yaml:12: NetworkPolicy shop/web spec.ingress[0]: ...` */
export function warningText({ object, field, message, origin }: Warning): string {
  const place = origin === undefined ? '' : `${origin.file}:${origin.line}: `;
  return `${place}${[object, field].filter((part) => part !== '').join(' ')}: ${message}`;
}
