/** Objects -> where the API has them. */
import type { ApiObject } from '../api-server/objects.ts';

/** By kind. */
const PLURALS: Readonly<Record<string, string>> = {
  Pod: 'pods',
  Namespace: 'namespaces',
  Service: 'services',
  Node: 'nodes',
  ServiceAccount: 'serviceaccounts',
  NetworkPolicy: 'networkpolicies',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  DaemonSet: 'daemonsets',
  Deployment: 'deployments',
  Job: 'jobs',
};

export function pathOf({ apiVersion, kind, metadata }: ApiObject): string {
  const plural = PLURALS[kind];
  if (plural === undefined) throw new Error(`where is a ${kind}?`);
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `${root}${place}/${plural}/${metadata.name}`;
}
