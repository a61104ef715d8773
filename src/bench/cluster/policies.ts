/**
 * N policies that all select server and clients, each with peers and a port of its own; only the last admits the clients. Unlike the
 * lab's, the others admit addresses (of the range for benchmarks) and not pods: nobody wants ten thousand pods for this.
 */
import { PORTS, SERVERS } from './plan.ts';

export const UNDER = { 'bench.selvedge/under': 'all' } as const;
const ROLE = 'bench.selvedge/role';

type Manifest = Readonly<Record<string, unknown>>;

export function roleLabel(role: string): Readonly<Record<string, string>> {
  return { [ROLE]: role };
}

export function* policyManifests(count: number, namespace: string): Generator<Manifest> {
  for (let index = 0; index < count - 1; index++) {
    const peers = [{ ipBlock: { cidr: `${peerAddress(index)}/32` } }];
    const ports = [{ protocol: 'TCP', port: 10_000 + index }];
    yield policy(`policy-${index}`, namespace, { ingress: [{ from: peers, ports }], egress: [{ to: peers, ports }] });
  }
  if (count === 0) return;
  const load = ['TCP', 'UDP'].map((protocol) => ({ protocol, port: PORTS.load, endPort: PORTS.turns }));
  const dns = ['UDP', 'TCP'].map((protocol) => ({ protocol, port: 53 }));
  yield policy('policy-last', namespace, {
    ingress: [{ from: [withRole('client')], ports: load }],
    egress: [{ to: [withRole(SERVERS.server), withRole(SERVERS.turns)], ports: load }, { ports: dns }],
  });
}

function policy(name: string, namespace: string, rules: Manifest): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec: { podSelector: { matchLabels: UNDER }, policyTypes: ['Ingress', 'Egress'], ...rules },
  };
}

function withRole(role: string) {
  return { podSelector: { matchLabels: roleLabel(role) } };
}

/** Of 198.18.0.0/15. */
function peerAddress(index: number): string {
  return `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}
