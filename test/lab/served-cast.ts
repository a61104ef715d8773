/** The usual cast with Services before it: api and web on node1, db and scan on node2, a pod of each node's network. */
import { OUTSIDE } from '../../src/observe/matrix.ts';
import { cast, ground, type PodOptions, pod } from '../support/cases/cast.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';

/** By each Service's name. */
export const VIRTUAL = {
  api: { IPv4: '10.96.0.1', IPv6: 'fd00:96::1' },
  db: { IPv4: '10.96.0.2', IPv6: 'fd00:96::2' },
  web: { IPv4: '10.96.0.3', IPv6: 'fd00:96::3' },
  scan: { IPv4: '10.96.0.4', IPv6: 'fd00:96::4' },
  host: { IPv4: '10.96.0.5', IPv6: 'fd00:96::5' },
  far: { IPv4: '10.96.0.6', IPv6: 'fd00:96::6' },
} as const;

/** Of `api` with externalTrafficPolicy Local. */
export const EXTERNAL = { IPv4: '192.0.2.80', IPv6: '2001:db8:80::80' } as const;

/** Somebody outside, whom the lab plays from the beginning. */
export const CLIENT = { IPv4: OUTSIDE[4], IPv6: OUTSIDE[6] } as const;

/** Ports by which `api`, `db` and `web` lead to the same ports of their pods, TCP and UDP: for connections side by side. */
const STREAMS = Array.from({ length: 20 }, (_, index) => 7000 + index);

interface ServiceOptions {
  readonly namespace?: string;
  readonly targetPort: number;
  /** Of port 80; for streams see `nodePortOf`. */
  readonly nodePort: number;
  /** Ports for streams too, their first node port. */
  readonly streams?: number;
  readonly more?: object;
}

const NODE_PORTS = { api: 31_000, db: 31_100, web: 31_200 } as const;

/** The node port of a stream's port. */
export function nodePortOf(name: keyof typeof NODE_PORTS, stream: number): number {
  return NODE_PORTS[name] + stream - 7000;
}

/** Port 80, TCP and UDP, to one of the pods with the label `app: NAME`. */
function service(name: keyof typeof VIRTUAL, options: ServiceOptions): ClusterObject {
  const { namespace = 'shop', targetPort, nodePort, streams, more = {} } = options;
  const { IPv4, IPv6 } = VIRTUAL[name];
  const ports = (['TCP', 'UDP'] as const).flatMap((protocol) => {
    const published = (port: number, target: number, onNodes: number) => {
      const text = `p${port}-${protocol.toLowerCase()}`;
      return { name: text, protocol, port, targetPort: target, nodePort: onNodes };
    };
    const all = streams === undefined ? [] : STREAMS.map((port, index) => published(port, port, streams + index));
    return [published(80, targetPort, nodePort), ...all];
  });
  const spec = { clusterIP: IPv4, clusterIPs: [IPv4, IPv6], selector: { app: name }, ports, ...more };
  // The cast's types are those of which policies speak.
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec } as unknown as ClusterObject;
}

function hostPod(name: 'host' | 'far', at: '1:0' | '2:0'): ClusterObject {
  const options: PodOptions = {
    labels: { app: name },
    hostNetwork: true,
    podIPs: [],
    ports: [{ containerPort: 9100 }],
  };
  return pod(`shop/${name}`, at, options);
}

/** `api` again, under a name and a cluster address of its own that nobody asks for. */
function externalApi(): ClusterObject {
  const more = {
    externalTrafficPolicy: 'Local',
    externalIPs: Object.values(EXTERNAL),
    clusterIP: '10.96.0.9',
    clusterIPs: ['10.96.0.9', 'fd00:96::9'],
  };
  const made = service('api', { targetPort: 8081, nodePort: 30_090, streams: 31_300, more });
  return { ...made, metadata: { name: 'api-external', namespace: 'shop' } } as ClusterObject;
}

const api = pod('shop/api', '1:12', {
  labels: { app: 'api', tier: 'back' },
  ports: [{ name: 'http', containerPort: 8081, hostPort: 9081 } as never],
});

export const servedCast: readonly ClusterObject[] = [
  ...ground,
  ...cast.slice(ground.length).filter(({ metadata }) => metadata.name !== 'api'),
  api,
  hostPod('host', '1:0'),
  hostPod('far', '2:0'),
  service('api', { targetPort: 8081, nodePort: 30081, streams: NODE_PORTS.api }),
  service('db', { targetPort: 5432, nodePort: 30082, streams: NODE_PORTS.db }),
  service('web', { targetPort: 8080, nodePort: 30083, streams: NODE_PORTS.web }),
  service('scan', { namespace: 'audit', targetPort: 8084, nodePort: 30084 }),
  service('host', { targetPort: 9100, nodePort: 30085 }),
  service('far', { targetPort: 9100, nodePort: 30086 }),
  externalApi(),
];
