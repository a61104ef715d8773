/** The n-th event of a stream of changes elsewhere in the cluster. */
import type { ApiObject } from '../../test/support/api-server/objects.ts';
import { type ClusterSize, remotePod, tierOf } from './cluster.ts';

/**
 * `heartbeats`: reports of pods that change no verdict. `lives`: pods that come and go, each with the events that
 * controllers, scheduler and kubelet make of it. `relevant`: each moves a pod from one set to another.
 */
export type Churn = 'heartbeats' | 'lives' | 'relevant';
export type Change = { readonly put: ApiObject } | { readonly delete: ApiObject };

export function churnEvent(kind: Churn, index: number, size: ClusterSize): Change {
  if (kind === 'heartbeats') return { put: remotePod(someone(index, size), size, { restarts: 1 + index }) };
  if (kind === 'lives') return lifeEvent(index, size);
  const pod = someone(index, size);
  return { put: remotePod(pod, size, { tier: tierOf(pod, 1 + Math.floor(index / everyone(size))) }) };
}

function everyone({ pods, local }: ClusterSize): number {
  return pods - local;
}

/** Goes through all pods in strides, so that neighbours in time are not neighbours in anything else. */
function someone(index: number, size: ClusterSize): number {
  return size.local + ((index * 7919) % everyone(size));
}

/** Of many lives at a time: created, bound, started, with an address, ready, ending, finished, gone. */
function lifeEvent(index: number, size: ClusterSize): Change {
  const lives = 64;
  const round = Math.floor(index / (lives * STEPS.length));
  const pod = size.pods + round * lives + (index % lives);
  const step = STEPS[Math.floor(index / lives) % STEPS.length] as (typeof STEPS)[number];
  const { bound, addressed, gone, ...rest } = step;
  const full = remotePod(pod, size, rest);
  const { nodeName, ...spec } = full.spec as { nodeName: string };
  const { podIP, podIPs, ...status } = full.status as { podIP: string; podIPs: object };
  if (gone) return { delete: full };
  return {
    put: { ...full, spec: bound ? full.spec : spec, status: addressed ? full.status : status } as ApiObject,
  };
}

const STEPS = [
  { bound: false, addressed: false, gone: false, phase: 'Pending', restarts: 0 },
  { bound: true, addressed: false, gone: false, phase: 'Pending', restarts: 0 },
  { bound: true, addressed: false, gone: false, phase: 'Pending', restarts: 1 },
  { bound: true, addressed: true, gone: false, phase: 'Running', restarts: 0 },
  { bound: true, addressed: true, gone: false, phase: 'Running', restarts: 1 },
  { bound: true, addressed: true, gone: false, phase: 'Running', restarts: 2 },
  { bound: true, addressed: true, gone: false, phase: 'Running', restarts: 3 },
  { bound: true, addressed: true, gone: true, phase: 'Running', restarts: 3 },
] as const;
