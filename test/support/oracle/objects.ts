/**
 * Kubernetes objects as they stand in manifests after YAML parsing, with the few fields that NetworkPolicy speaks of.
 * Written for the oracle alone: nothing here is shared with the product.
 */

/** YAML may leave a field out, leave it empty (null) or give it. */
type Maybe<T> = T | null | undefined;

export type Labels = Readonly<Record<string, string>>;

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Maybe<Labels>;
}

export interface Namespace {
  readonly apiVersion: 'v1';
  readonly kind: 'Namespace';
  readonly metadata: Metadata;
}

export interface Node {
  readonly apiVersion: 'v1';
  readonly kind: 'Node';
  readonly metadata: Metadata;
  readonly spec?: { readonly podCIDRs?: readonly string[] };
  readonly status?: { readonly addresses?: Maybe<readonly NodeAddress[]> };
}

export interface NodeAddress {
  /** InternalIP, ExternalIP, Hostname, InternalDNS, ExternalDNS */
  readonly type: string;
  readonly address: string;
}

export interface Pod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: Metadata;
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly Container[];
    readonly initContainers?: Maybe<readonly Container[]>;
  };
  readonly status?: {
    /** Pending, Running, Succeeded, Failed or Unknown */
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: Maybe<readonly { readonly ip: string }[]>;
  };
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  /** Only init containers have one: `Always` makes a sidecar of it. */
  readonly restartPolicy?: string;
  readonly ports?: Maybe<readonly ContainerPort[]>;
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  /** TCP when absent. */
  readonly protocol?: TransportName;
}

export type TransportName = 'TCP' | 'UDP' | 'SCTP';

export interface NetworkPolicy {
  readonly apiVersion: 'networking.k8s.io/v1';
  readonly kind: 'NetworkPolicy';
  readonly metadata: Metadata;
  readonly spec?: Maybe<NetworkPolicySpec>;
}

export interface NetworkPolicySpec {
  readonly podSelector?: Maybe<LabelSelector>;
  readonly policyTypes?: Maybe<readonly PolicyType[]>;
  readonly ingress?: Maybe<readonly IngressRule[]>;
  readonly egress?: Maybe<readonly EgressRule[]>;
}

export type PolicyType = 'Ingress' | 'Egress';

export interface IngressRule {
  readonly ports?: Maybe<readonly PolicyPort[]>;
  readonly from?: Maybe<readonly Peer[]>;
}

export interface EgressRule {
  readonly ports?: Maybe<readonly PolicyPort[]>;
  readonly to?: Maybe<readonly Peer[]>;
}

export interface PolicyPort {
  readonly protocol?: Maybe<TransportName>;
  /** A number, or the name of a container port. */
  readonly port?: Maybe<number | string>;
  readonly endPort?: Maybe<number>;
}

export interface Peer {
  readonly podSelector?: Maybe<LabelSelector>;
  readonly namespaceSelector?: Maybe<LabelSelector>;
  readonly ipBlock?: Maybe<IpBlock>;
}

export interface IpBlock {
  readonly cidr: string;
  readonly except?: Maybe<readonly string[]>;
}

export interface LabelSelector {
  readonly matchLabels?: Maybe<Labels>;
  readonly matchExpressions?: Maybe<readonly LabelExpression[]>;
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: Maybe<readonly string[]>;
}

export type ClusterObject = Namespace | Node | Pod | NetworkPolicy;
