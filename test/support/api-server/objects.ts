/** The API's objects as the test server keeps them, and the collections that it serves. */

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly uid?: string;
    readonly creationTimestamp?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface ApiResource {
  readonly plural: string;
  readonly kind: string;
  readonly apiVersion: string;
  /** As messages name it: "" for the core. */
  readonly group: string;
  readonly path: string;
  readonly namespaced: boolean;
}

export const RESOURCES: readonly ApiResource[] = [
  core('Pod', 'pods', true),
  core('Namespace', 'namespaces', false),
  core('Service', 'services', true),
  core('Node', 'nodes', false),
  {
    plural: 'networkpolicies',
    kind: 'NetworkPolicy',
    apiVersion: 'networking.k8s.io/v1',
    group: 'networking.k8s.io',
    path: '/apis/networking.k8s.io/v1/networkpolicies',
    namespaced: true,
  },
];

function core(kind: string, plural: string, namespaced: boolean): ApiResource {
  return { plural, kind, apiVersion: 'v1', group: '', path: `/api/v1/${plural}`, namespaced };
}

export function resourceOf(kind: string): ApiResource {
  const found = RESOURCES.find((resource) => resource.kind === kind || resource.plural === kind);
  if (found === undefined) throw new Error(`the test API server has no ${kind}`);
  return found;
}

export function keyOf({ metadata }: ApiObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}
