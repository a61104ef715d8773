/** The five collections of the API that the engine follows, and how to ask for them. */
import type { Kind, ObjectKey } from '../../model/cluster.ts';
import type { ObjectType } from '../parse/object.ts';
import type { Shape } from './skim.ts';

export interface Resource {
  /** As roles and paths name it. */
  readonly plural: string;
  readonly kind: Kind;
  readonly path: string;
  /** Type of the items of a list, which do not say it themselves. */
  readonly type: ObjectType;
  readonly fieldSelector?: string;
  /** What an object is parsed for, where most of it is not; the rest is skipped unread. */
  readonly kept?: Shape;
}

const CONTAINER: Shape = { fields: { ports: 'all', restartPolicy: 'all' } };

/** What `parsePod` looks at, but for whose the pod is: the API server has all of them itself, and none has to be made up. */
const POD: Shape = {
  fields: {
    kind: 'all',
    apiVersion: 'all',
    metadata: {
      fields: {
        name: 'all',
        namespace: 'all',
        labels: 'all',
        resourceVersion: 'aside',
        uid: 'all',
      },
    },
    spec: {
      fields: {
        nodeName: 'all',
        hostNetwork: 'all',
        containers: { each: CONTAINER },
        initContainers: { each: CONTAINER },
      },
    },
    status: { fields: { phase: 'all', podIP: 'all', podIPs: 'all' } },
  },
};

const CORE = ['v1', '/api/v1'] as const;
const NETWORKING = ['networking.k8s.io/v1', '/apis/networking.k8s.io/v1'] as const;

/** Of the nodes only this one: the others' heartbeats would be the most of what comes. */
export function resourcesFor(node: string): readonly Resource[] {
  return [
    resource('Namespace', 'namespaces', CORE),
    resource('NetworkPolicy', 'networkpolicies', NETWORKING),
    { ...resource('Pod', 'pods', CORE), kept: POD },
    resource('Service', 'services', CORE),
    { ...resource('Node', 'nodes', CORE), fieldSelector: `metadata.name=${node}` },
  ];
}

function resource(kind: Kind, plural: string, [apiVersion, root]: readonly [string, string]): Resource {
  return { kind, plural, path: `${root}/${plural}`, type: { apiVersion, kind } };
}

/** What an object of the API says about itself, whatever else it is. */
export interface RawObject {
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** As `keyOf` has it for the slim object, also for one that is not valid. */
export function rawKey({ kind }: Resource, { metadata }: RawObject): ObjectKey {
  const named = kind === 'Namespace' || kind === 'Node';
  return (named ? metadata.name : `${metadata.namespace || 'default'}/${metadata.name}`) as ObjectKey;
}

/** So Go writes a pod's identity. Within the value of a field its quotation marks would be escaped. */
const NAMED = /"metadata":\{"name":"([^"\\]+)","namespace":"([^"\\]+)"/;

/** The same of the text of an object in a namespace, as far as it is plain to see. */
export function textKey(text: string): ObjectKey | undefined {
  const [, name, namespace] = NAMED.exec(text) ?? [];
  return name === undefined ? undefined : (`${namespace}/${name}` as ObjectKey);
}
