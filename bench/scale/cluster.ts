/**
 * The objects of a large cluster as an API server gives them: pods with all that kubelet and controllers write into them,
 * because parsing that is a part of what is measured. The same numbers give the same cluster.
 */
import type { ApiObject } from '../../test/support/api-server/objects.ts';

export interface ClusterSize {
  /** All pods, those of the node included. */
  readonly pods: number;
  readonly namespaces: number;
  readonly policies: number;
  /** Pods of the node. */
  readonly local: number;
  readonly families: readonly (4 | 6)[];
}

export const NODE = 'node-here';
/** Holds every pod of the node, so that one policy can select them all. */
export const TENANT = 'tenant';
const TEAMS = 50;
const TIERS = ['web', 'api', 'jobs', 'store'] as const;
const NODES = 1000;

export function* clusterObjects(size: ClusterSize): Generator<ApiObject> {
  yield { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE }, spec: { podCIDR: '10.255.0.0/24' }, status: {} };
  for (let i = 0; i < size.namespaces; i++) yield namespace(i);
  for (let i = 0; i < size.policies; i++) yield policy(i, size);
  for (let i = 0; i < size.pods; i++) yield i < size.local ? localPod(i, size) : remotePod(i, size);
}

export function namespaceName(index: number): string {
  return index === 0 ? TENANT : `ns-${index}`;
}

export function namespace(index: number, team = `team-${index % TEAMS}`): ApiObject {
  const name = namespaceName(index);
  const labels = { 'kubernetes.io/metadata.name': name, team, env: index % 3 === 0 ? 'production' : 'staging' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels }, status: { phase: 'Active' } };
}

/** Two for each of the node's pods, the others spread over the other namespaces. */
export function policy(index: number, { local, namespaces }: ClusterSize, port = 8080): ApiObject {
  const here = index < 2 * local;
  const name = `policy-${index}`;
  const where = here ? TENANT : namespaceName(1 + (index % (namespaces - 1)));
  const podSelector = { matchLabels: here ? { app: `app-${index >> 1}` } : { tier: TIERS[index % TIERS.length] } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: where, ...managed('kubectl-client-side-apply') },
    spec: { podSelector, ...rules(index, port) },
  };
}

/** One policy that selects every pod of the node. */
export function policyForAll(port: number): ApiObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'policy-for-all', namespace: TENANT },
    spec: {
      podSelector: {},
      policyTypes: ['Ingress'],
      ingress: [{ from: [teamPeer(7)], ports: [{ protocol: 'TCP', port }] }],
    },
  };
}

function rules(index: number, port: number): object {
  const ports = [{ protocol: 'TCP', port }];
  if (index % 2 === 0) {
    const from = [{ podSelector: {} }, teamPeer(index >> 1), { podSelector: { matchLabels: { tier: 'web' } } }];
    return { policyTypes: ['Ingress'], ingress: [{ from, ports }, { ports: [{ protocol: 'TCP', port: 'metrics' }] }] };
  }
  const block = { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '192.168.0.0/16'] } };
  const to = [teamPeer(index >> 1), block];
  const dns = { to: [{ namespaceSelector: {} }], ports: [{ protocol: 'UDP', port: 53 }] };
  return { policyTypes: ['Egress'], egress: [{ to, ports }, dns] };
}

function teamPeer(index: number): object {
  const tier = TIERS[Math.floor(index / TEAMS) % TIERS.length];
  return {
    namespaceSelector: { matchLabels: { team: `team-${index % TEAMS}` } },
    podSelector: { matchLabels: { tier } },
  };
}

export interface PodWish {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly addresses: readonly string[];
  readonly phase?: 'Pending' | 'Running';
  /** Of the kubelet's report: another one is what a heartbeat changes. */
  readonly restarts?: number;
}

export function localPod(index: number, { families }: ClusterSize, tier?: string): ApiObject {
  return pod({
    name: `local-${index}`,
    namespace: TENANT,
    labels: labelsOf(index, `app-${index}`, tier),
    node: NODE,
    addresses: families.map((family) => localAddress(index, family)),
  });
}

export function localAddress(index: number, family: 4 | 6): string {
  return family === 4 ? `10.255.${index >> 8}.${(index & 255) + 2}` : `fd00:10:255::${(index + 2).toString(16)}`;
}

/** The pod of this number elsewhere; `tier` other than its own puts it into other sets. */
export function remotePod(
  index: number,
  size: ClusterSize,
  more: Partial<PodWish> & { tier?: string } = {},
): ApiObject {
  const { tier, ...wish } = more;
  return pod({
    name: `pod-${index}-7d9f8c6b54-x2k9q`,
    namespace: namespaceName(1 + (index % (size.namespaces - 1))),
    labels: labelsOf(index, `app-${index % 400}`, tier),
    node: `node-${index % NODES}`,
    addresses: size.families.map((family) => remoteAddress(index, family)),
    ...wish,
  });
}

function remoteAddress(index: number, family: 4 | 6): string {
  const [a, b, c] = [index >> 16, (index >> 8) & 255, index & 255];
  return family === 4 ? `10.${a}.${b}.${c}` : `fd00:10:${a.toString(16)}::${(index & 0xffff).toString(16)}`;
}

/** A pod's tier after so many moves: each takes it out of a set and into another, for policies here ask for both of these. */
export function tierOf(index: number, moves = 0): string {
  const own = TIERS[index % TIERS.length] as string;
  if (moves === 0) return own;
  return (moves % 2 === 1) === (own === 'web') ? 'api' : 'web';
}

function labelsOf(index: number, app: string, tier = tierOf(index)): Record<string, string> {
  return { app, tier, 'pod-template-hash': '7d9f8c6b54', release: `r${index % 7}` };
}

export function pod(wish: PodWish): ApiObject {
  const { name, namespace, labels, node, addresses, phase = 'Running', restarts = 0 } = wish;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels, ...managed('kube-controller-manager', 'kubelet'), ownerReferences: OWNERS },
    spec: { ...SPEC, ...(node !== undefined && { nodeName: node }) },
    status: {
      phase,
      conditions: CONDITIONS,
      containerStatuses: [{ ...CONTAINER_STATUS, restartCount: restarts }],
      hostIP: '192.168.0.10',
      hostIPs: [{ ip: '192.168.0.10' }],
      ...(addresses.length > 0 && { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
      qosClass: 'Burstable',
      startTime: TIME,
    },
  };
}

const TIME = '2026-01-01T00:00:00Z';
const OWNERS = [
  {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: 'app-7d9f8c6b54',
    uid: '5f0c9d0e-52f5-4b21-9a57-0d5f3f5c1c11',
    controller: true,
    blockOwnerDeletion: true,
  },
];

function managed(...names: string[]): object {
  return {
    annotations: { 'kubernetes.io/psp': 'restricted', 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
    managedFields: names.map((name) => {
      return {
        manager: name,
        operation: 'Update',
        apiVersion: 'v1',
        time: TIME,
        fieldsType: 'FieldsV1',
        fieldsV1: FIELDS,
      };
    }),
  };
}

const FIELDS = {
  'f:metadata': {
    'f:labels': { '.': {}, 'f:app': {}, 'f:tier': {}, 'f:release': {} },
    'f:ownerReferences': { '.': {} },
  },
  'f:spec': {
    'f:containers': {
      'k:{"name":"main"}': {
        '.': {},
        'f:env': { '.': {}, 'k:{"name":"LOG_LEVEL"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
        'f:image': {},
        'f:imagePullPolicy': {},
        'f:livenessProbe': { '.': {}, 'f:httpGet': { '.': {}, 'f:path': {}, 'f:port': {} }, 'f:periodSeconds': {} },
        'f:name': {},
        'f:ports': { '.': {}, 'k:{"containerPort":8080,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
        'f:resources': { '.': {}, 'f:limits': { '.': {}, 'f:cpu': {}, 'f:memory': {} } },
      },
    },
    'f:dnsPolicy': {},
    'f:enableServiceLinks': {},
    'f:restartPolicy': {},
    'f:terminationGracePeriodSeconds': {},
  },
};

const PROBE = { httpGet: { path: '/healthz', port: 8080, scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 1 };
const SPEC = {
  containers: [
    {
      name: 'main',
      image: 'registry.example/team/application:1.42.0',
      imagePullPolicy: 'IfNotPresent',
      env: [
        { name: 'LOG_LEVEL', value: 'info' },
        { name: 'POD_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } },
      ],
      ports: [
        { name: 'http', containerPort: 8080, protocol: 'TCP' },
        { name: 'metrics', containerPort: 9090, protocol: 'TCP' },
      ],
      livenessProbe: PROBE,
      readinessProbe: PROBE,
      resources: { limits: { cpu: '500m', memory: '512Mi' }, requests: { cpu: '100m', memory: '256Mi' } },
      volumeMounts: [
        { name: 'config', mountPath: '/etc/application', readOnly: true },
        { name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
      ],
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
    },
  ],
  volumes: [
    { name: 'config', configMap: { name: 'application', defaultMode: 420 } },
    {
      name: 'kube-api-access',
      projected: {
        defaultMode: 420,
        sources: [
          { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        ],
      },
    },
  ],
  dnsPolicy: 'ClusterFirst',
  enableServiceLinks: true,
  preemptionPolicy: 'PreemptLowerPriority',
  priority: 0,
  restartPolicy: 'Always',
  schedulerName: 'default-scheduler',
  securityContext: {},
  serviceAccountName: 'default',
  terminationGracePeriodSeconds: 30,
  tolerations: [
    { effect: 'NoExecute', key: 'node.kubernetes.io/not-ready', operator: 'Exists', tolerationSeconds: 300 },
  ],
};

const CONDITIONS = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(
  (type) => {
    return { type, status: 'True', lastProbeTime: null, lastTransitionTime: TIME };
  },
);
const CONTAINER_STATUS = {
  name: 'main',
  image: 'registry.example/team/application:1.42.0',
  imageID: 'registry.example/team/application@sha256:6f3c1e0b7a2d4c5e8f9a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5f6',
  containerID: 'containerd://0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5f66f3c1e0b7a2d4c5e8f9a',
  ready: true,
  started: true,
  lastState: {},
  state: { running: { startedAt: TIME } },
};
