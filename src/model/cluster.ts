/**
 * The slim objects that every source delivers: of each Kubernetes object only the fields that a verdict,
 * a name or the lab needs, already validated and with the API's defaults applied.
 */
import type { Address, Prefix } from './address.ts';

export type Labels = Readonly<Record<string, string>>;
export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type Direction = 'ingress' | 'egress';

/** Where an object stands in a folder of manifests; absent for objects from an API server. */
export interface Origin {
  /** Path as the user gave it, relative to the manifests' folder. */
  readonly file: string;
  /** Number of the YAML document in the file, from 1. */
  readonly document: number;
  /** Line on which the object begins, from 1. */
  readonly line: number;
}

export interface Namespace {
  readonly kind: 'Namespace';
  readonly name: string;
  /** With `kubernetes.io/metadata.name`. */
  readonly labels: Labels;
  readonly origin?: Origin;
}

export interface Node {
  readonly kind: 'Node';
  readonly name: string;
  readonly addresses: readonly Address[];
  /** `spec.podCIDRs`. */
  readonly podPrefixes: readonly Prefix[];
  readonly origin?: Origin;
}

export interface ContainerPort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** By which the node's own addresses lead to the pod. */
  readonly hostPort?: number;
  /** Of the node's addresses only this one. */
  readonly hostAddress?: Address;
}

export interface Pod {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  /** `spec.nodeName`; absent until the pod is bound to a node. */
  readonly node?: string;
  /** `status.podIPs`, at most one of a family; empty until known. */
  readonly addresses: readonly Address[];
  readonly hostNetwork: boolean;
  /** Phase Succeeded or Failed: the address may belong to another pod already. */
  readonly finished: boolean;
  /** Ports of all containers that run beside each other (init containers only when they restart always). */
  readonly ports: readonly ContainerPort[];
  /** `instanceOf` its uid, once it is bound to a node; absent where it has none, in manifests. */
  readonly instance?: number;
  readonly origin?: Origin;
}

export type Requirement =
  | { readonly key: string; readonly operator: 'In' | 'NotIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'Exists' | 'DoesNotExist' };

/** A label selector; all requirements must hold, none means everything. matchLabels are `In` of one value. */
export interface Selector {
  readonly requirements: readonly Requirement[];
}

export type Peer =
  | {
      readonly kind: 'pods';
      /** Absent: the policy's own namespace. */
      readonly namespaceSelector?: Selector;
      /** Absent: all pods of the namespaces. */
      readonly podSelector?: Selector;
    }
  | { readonly kind: 'ipBlock'; readonly cidr: Prefix; readonly except: readonly Prefix[] };

export type PolicyPort =
  | { readonly kind: 'range'; readonly protocol: Protocol; readonly from: number; readonly to: number }
  | { readonly kind: 'named'; readonly protocol: Protocol; readonly name: string };

export interface PolicyRule {
  /** Empty: everyone. */
  readonly peers: readonly Peer[];
  /** Empty: every port of every IP protocol. `from: 0, to: 65535` is every port of one protocol. */
  readonly ports: readonly PolicyPort[];
  /** Line of the rule in its file, from 1. */
  readonly line?: number;
}

export interface NetworkPolicy {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: Selector;
  /** Directions in which the selected pods are isolated. */
  readonly policyTypes: readonly Direction[];
  readonly ingress: readonly PolicyRule[];
  readonly egress: readonly PolicyRule[];
  readonly origin?: Origin;
}

export interface ServicePort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Number or name of the backend's port. */
  readonly targetPort: number | string;
  readonly nodePort?: number;
}

/** Watched for names in flows and explanations, and by the lab; no verdict depends on it. */
export interface Service {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  /** Cluster, external and load balancer addresses. */
  readonly addresses: readonly Address[];
  /** Those of them that are not the cluster's own; absent: none. */
  readonly externalAddresses?: readonly Address[];
  readonly ports: readonly ServicePort[];
  /** Absent: endpoints are kept by somebody else. */
  readonly selector?: Labels;
  /** `sessionAffinity: ClientIP`: for how many seconds a client stays with a backend. */
  readonly affinitySeconds?: number;
  /** Only backends on the node that a client from outside, or one within, came to; absent: all. */
  readonly externalTrafficPolicy?: 'Local';
  readonly internalTrafficPolicy?: 'Local';
  readonly origin?: Origin;
}

export type ClusterObject = Namespace | Node | Pod | NetworkPolicy | Service;
export type Kind = ClusterObject['kind'];

/** `NAMESPACE/NAME`, or `NAME` for what has no namespace. */
export type ObjectKey = string & { readonly __objectKey: unique symbol };

export function keyOf(object: ClusterObject): ObjectKey {
  return ('namespace' in object ? `${object.namespace}/${object.name}` : object.name) as ObjectKey;
}

export type ClusterEvent =
  | { readonly type: 'upsert'; readonly object: ClusterObject }
  | { readonly type: 'delete'; readonly kind: Kind; readonly key: ObjectKey };

/** Something about the input that a person should know. */
export interface Warning {
  /** `NetworkPolicy shop/web`, `file.yaml`. */
  readonly object: string;
  /** Path of the field, `spec.ingress[0].ports[1].endPort`; empty for the whole object. */
  readonly field: string;
  readonly message: string;
  readonly origin?: Origin;
}

/** One step of the cluster as a source saw it; its events belong to one state and are applied together. */
export interface ClusterChange {
  readonly events: readonly ClusterEvent[];
  /** The warnings that stand after this change, whole, not only new ones. */
  readonly warnings: readonly Warning[];
  /** Whether the source has delivered everything that was there when it started. */
  readonly synced: boolean;
  /** Names the content that this change brings the cluster to: equal content, equal text. A hash of the files for a folder of manifests. */
  readonly revision?: string;
}
