/** Objects as the API server stores them, for the tests of the kubernetes source. */
import type { ApiObject } from '../../support/api-server/objects.ts';

export function namespace(name: string, labels: Record<string, string> = {}): ApiObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels }, spec: { finalizers: ['kubernetes'] } };
}

export interface PodParts {
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly address?: string;
  readonly phase?: string;
  /** What a heartbeat changes. */
  readonly beat?: number;
}

export function pod(namespaceName: string, name: string, parts: PodParts = {}): ApiObject {
  const { labels = { app: 'web' }, node = 'node1', address, phase = 'Running', beat = 0 } = parts;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: namespaceName, labels },
    spec: {
      nodeName: node,
      containers: [{ name: 'main', image: 'web:1', ports: [{ containerPort: 8080, name: 'http' }] }],
    },
    status: {
      phase,
      ...(address && { podIP: address, podIPs: [{ ip: address }] }),
      conditions: [{ type: 'Ready', status: 'True', lastProbeTime: beat }],
    },
  };
}

export function policy(namespaceName: string, name: string, spec: object = { podSelector: {} }): ApiObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: namespaceName, name },
    spec,
  };
}

export function service(namespaceName: string, name: string, address = '10.96.0.7'): ApiObject {
  const spec = {
    clusterIP: address,
    clusterIPs: [address],
    selector: { app: 'web' },
    ports: [{ port: 80, protocol: 'TCP' }],
  };
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: namespaceName, name }, spec };
}

export function node(name: string, address = '192.0.2.1', beat = 0): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] },
    status: {
      addresses: [{ type: 'InternalIP', address }],
      conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: beat }],
    },
  };
}

/** One of each kind. */
export function smallCluster(): ApiObject[] {
  return [
    namespace('shop', { team: 'a' }),
    pod('shop', 'web-0', { address: '10.244.0.5' }),
    policy('shop', 'closed'),
    service('shop', 'web'),
    node('node1'),
    node('node2', '192.0.2.2'),
  ];
}
