/** A workload (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, ReplicationController) to the pods that it would run. */
import type { Labels, Origin, Pod } from '../../model/cluster.ts';
import { type Draft, metadataOf } from './draft.ts';
import { type PodSpec, parsePodSpec } from './pod.ts';
import { labelsOf } from './syntax.ts';

export const WORKLOAD_KINDS = {
  Deployment: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  ReplicaSet: 'apps/v1',
  Job: 'batch/v1',
  CronJob: 'batch/v1',
  ReplicationController: 'v1',
} as const;
export type WorkloadKind = keyof typeof WORKLOAD_KINDS;

export interface Workload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  /** The controller that made this one, as `KIND NAMESPACE/NAME`. */
  readonly owner?: string;
  /** First ordinal and number of pods, or one pod on each node. */
  readonly pods: { readonly first: number; readonly count: number } | 'per-node';
  readonly labels: Labels;
  readonly spec: PodSpec;
  readonly origin?: Origin;
}

/** More pods of one workload than any cluster runs are taken for a slip of the pen. */
const MOST_PODS = 200_000;

export function parseWorkload(draft: Draft, kind: WorkloadKind): Workload {
  const { root, place } = draft;
  const { name, namespace, owner } = metadataOf(root);
  const outer = root.child('spec');
  const spec = kind === 'CronJob' ? outer.child('jobTemplate').child('spec') : outer;
  const template = spec.child('template');
  if (!template.present) template.complain('a template of pods is required');
  const count =
    spec.child(kind === 'Job' || kind === 'CronJob' ? 'parallelism' : 'replicas').integer(0, MOST_PODS) ?? 1;
  const first =
    kind === 'StatefulSet'
      ? (spec
          .child('ordinals')
          .child('start')
          .integer(0, 2 ** 31 - 1) ?? 0)
      : 0;
  return {
    kind,
    namespace,
    name,
    pods: kind === 'DaemonSet' ? 'per-node' : { first, count },
    labels: labelsOf(template.child('metadata').child('labels')),
    spec: parsePodSpec(template.child('spec')),
    ...(owner && { owner }),
    ...(place.origin && { origin: place.origin }),
  };
}

/** The pods: `web-0`, `web-1`, … ; those of a DaemonSet bear the names of their nodes. */
export function podsOf(workload: Workload, nodes: readonly string[]): Pod[] {
  const { pods, name, spec } = workload;
  if (pods === 'per-node') {
    const places = spec.node === undefined ? nodes : [spec.node];
    return places.map((node) => podOf(workload, `${name}-${node}`, node));
  }
  return Array.from({ length: pods.count }, (_, index) => podOf(workload, `${name}-${pods.first + index}`, spec.node));
}

function podOf({ namespace, labels, spec, origin }: Workload, name: string, node: string | undefined): Pod {
  return {
    kind: 'Pod',
    namespace,
    name,
    labels,
    ...(node !== undefined && { node }),
    addresses: [],
    hostNetwork: spec.hostNetwork,
    finished: false,
    ports: spec.ports,
    ...(origin && { origin }),
  };
}
