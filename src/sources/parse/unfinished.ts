/** A plain parsed value to what it lacks of an object's head, as one does that was cut off while it was written. */
import type { ObjectType } from './object.ts';

/** Every kind of the groups that are read here, also those that no verdict depends on. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  v1: [
    ...['Binding', 'ComponentStatus', 'ConfigMap', 'Endpoints', 'Event', 'LimitRange', 'Namespace', 'Node'],
    ...['PersistentVolume', 'PersistentVolumeClaim', 'Pod', 'PodTemplate', 'ReplicationController', 'ResourceQuota'],
    ...['Secret', 'Service', 'ServiceAccount'],
  ],
  'apps/v1': ['ControllerRevision', 'DaemonSet', 'Deployment', 'ReplicaSet', 'StatefulSet'],
  'batch/v1': ['CronJob', 'Job'],
  'networking.k8s.io/v1': ['Ingress', 'IngressClass', 'IPAddress', 'NetworkPolicy', 'ServiceCIDR'],
};

/** `an object without a kind`; undefined for a whole head. `assumed` as in parseObject. */
export function unfinished(value: unknown, assumed?: ObjectType): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'a document that is no object';
  const given = value as { kind?: unknown; apiVersion?: unknown; metadata?: unknown };
  const kind = given.kind ?? assumed?.kind;
  const apiVersion = given.apiVersion ?? assumed?.apiVersion;
  if (isMissing(kind)) return 'an object without a kind';
  if (isMissing(apiVersion)) return 'an object without an apiVersion';
  const metadata = (given.metadata ?? {}) as { name?: unknown; generateName?: unknown };
  if (isMissing(metadata.name) && isMissing(metadata.generateName)) return 'an object without a name';
  const known = Object.hasOwn(KINDS, String(apiVersion)) ? KINDS[String(apiVersion)] : undefined;
  if (known !== undefined && !known.includes(String(kind))) return `${kind}, which is no kind of ${apiVersion}`;
  const [home] = Object.entries(KINDS).find(([, kinds]) => kinds.includes(String(kind))) ?? [];
  const cut = known === undefined && home?.startsWith(String(apiVersion));
  return cut ? `${apiVersion}, which is no apiVersion of ${kind}` : undefined;
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
