/** `selvedge bench --cluster` -> manifests: a namespace, N policies, servers, and a Job for each client, whose log is its report. */
import { stringify } from 'yaml';
import type { ClusterOptions } from './options.ts';
import { type Client, clientsOf, PORTS, SERVERS, serverOf } from './plan.ts';
import { policyManifests, roleLabel, UNDER } from './policies.ts';

type Manifest = Readonly<Record<string, unknown>>;

/** All pods of a run, and of nothing else. */
export const APP = { 'app.kubernetes.io/name': 'selvedge-bench' } as const;
const CLIENT = 'bench.selvedge/client';
const LOAD = '/opt/selvedge/build/selvedge-load';
/** Nothing may run for longer, whatever goes wrong. */
const MOST_SECONDS = 3_600;
const HOSTNAME = 'kubernetes.io/hostname';

/** YAML, one document after the other, in the order in which they are to be made. */
export function* clusterManifests(options: ClusterOptions): Generator<string> {
  yield HEADER(options);
  for (const manifest of manifestsOf(options))
    yield `---\n${stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

const HEADER = ({ namespace }: ClusterOptions) => `# Made by selvedge bench --cluster.
#   kubectl apply --server-side -f FILE
#   kubectl -n ${namespace} wait --for=condition=complete --timeout=1h job --all
#   kubectl -n ${namespace} logs -l ${CLIENT} --tail=-1 | selvedge bench report - --report DIRECTORY
#   kubectl delete namespace ${namespace}
`;

export function* manifestsOf(options: ClusterOptions): Generator<Manifest> {
  const { namespace, policies } = options;
  yield {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
  yield* policyManifests(policies, namespace);
  const servers = policies === 0 ? [SERVERS.free] : [SERVERS.server, SERVERS.free];
  for (const name of [SERVERS.turns, ...servers]) yield service(name, namespace);
  yield deployment(SERVERS.turns, options, [turnsContainer(options)]);
  for (const name of servers) yield deployment(name, options, loadContainers(options));
  for (const client of clientsOf(options.nodes, policies)) yield job(client, options);
}

/** Headless: its name is the pods' own address. */
function service(name: string, namespace: string): Manifest {
  const port = name === SERVERS.turns ? PORTS.turns : PORTS.load;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: APP },
    spec: { clusterIP: 'None', selector: roleLabel(name), ports: [{ name: 'bench', port }] },
  };
}

function deployment(name: string, { namespace }: ClusterOptions, containers: readonly Manifest[]): Manifest {
  const labels = { ...APP, ...roleLabel(name), ...(name === SERVERS.server && UNDER) };
  const together = name === SERVERS.free || name === SERVERS.server ? besides(SERVERS.turns) : {};
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: APP },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: roleLabel(name) },
      template: { metadata: { labels }, spec: { ...POD, ...together, containers } },
    },
  };
}

/** On the node where the pods of this role are; or on any but that. */
function besides(role: string, elsewhere = false) {
  const terms = [{ labelSelector: { matchLabels: roleLabel(role) }, topologyKey: HOSTNAME }];
  const kind = elsewhere ? 'podAntiAffinity' : 'podAffinity';
  return { affinity: { [kind]: { requiredDuringSchedulingIgnoredDuringExecution: terms } } };
}

function job(client: Client, options: ClusterOptions): Manifest {
  const { namespace } = options;
  const { name, topology, traffic } = client;
  const labels = { ...APP, ...roleLabel('client'), [CLIENT]: name, ...(traffic === 'allowed' && UNDER) };
  const place = besides(SERVERS.turns, topology === 'two-nodes');
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace, labels: APP },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: MOST_SECONDS,
      template: {
        metadata: { labels },
        spec: { ...POD, ...place, restartPolicy: 'Never', containers: [clientContainer(client, options)] },
      },
    },
  };
}

/** What the strictest of the Pod Security Standards asks for; it needs no right at all. */
const POD = {
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 1,
  securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
} as const;

function container(name: string, { image }: ClusterOptions, rest: Manifest): Manifest {
  return {
    name,
    image,
    ...rest,
    resources: { requests: { cpu: '100m', memory: '64Mi' } },
    securityContext: {
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    },
  };
}

/** Beside the service that is asked, one on a port that no policy admits: it shows whether anybody enforces. */
function loadContainers(options: ClusterOptions): readonly Manifest[] {
  return [
    ['load', PORTS.load],
    ['forbidden', PORTS.forbidden],
  ].map(([name, port]) =>
    container(String(name), options, {
      command: [LOAD, 'serve', '--server', '$(POD_IP)', '--port', String(port), '--seconds', String(MOST_SECONDS)],
      env: [field('POD_IP', 'status.podIP')],
      ports: [{ containerPort: port, protocol: 'TCP' }],
    }),
  );
}

function turnsContainer(options: ClusterOptions): Manifest {
  return container('turns', options, {
    args: ['bench', 'cluster-turns', '--port', String(PORTS.turns)],
    ports: [{ containerPort: PORTS.turns, protocol: 'TCP' }],
    readinessProbe: { tcpSocket: { port: PORTS.turns } },
  });
}

function clientContainer({ topology, traffic }: Client, options: ClusterOptions): Manifest {
  const { name, policies, rounds } = options;
  const told = { server: serverOf(traffic), turns: SERVERS.turns, topology, traffic, name, policies, rounds };
  return container('client', options, {
    args: [
      ...['bench', 'cluster-client'],
      ...Object.entries(told).flatMap(([key, value]) => [`--${key}`, String(value)]),
      ...['--node', '$(NODE_NAME)'],
    ],
    env: [field('NODE_NAME', 'spec.nodeName')],
  });
}

function field(name: string, fieldPath: string) {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}
