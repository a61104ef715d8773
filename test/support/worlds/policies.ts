/** Random policies, every one valid by the API server's rules. */
import fc from 'fast-check';
import type {
  LabelSelector,
  NetworkPolicy,
  NetworkPolicySpec,
  Peer,
  PolicyPort,
  PolicyType,
  TransportName,
} from '../oracle/objects.ts';
import { ipBlock } from './blocks.ts';
import { namespaceSelector, podSelector } from './labels.ts';
import { NAMESPACES } from './world.ts';

/** Numbers and names that container ports and rules both draw from; `never` is a name that no pod has. */
export const PORT_NUMBERS = [53, 80, 443, 8080, 8081] as const;
export const PORT_NAMES = ['http', 'metrics', 'dns'] as const;

const RANGES = [
  [80, 80],
  [53, 443],
  [8000, 8080],
  [8081, 9000],
  [1, 65535],
  [60000, 65535],
] as const;

export const transport: fc.Arbitrary<TransportName> = fc.oneof(
  { weight: 5, arbitrary: fc.constant('TCP' as const) },
  { weight: 3, arbitrary: fc.constant('UDP' as const) },
  { weight: 1, arbitrary: fc.constant('SCTP' as const) },
);

const policyPort: fc.Arbitrary<PolicyPort> = fc
  .tuple(
    fc.option(transport, { freq: 2, nil: undefined }),
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...PORT_NUMBERS).map((port) => ({ port })) },
      { weight: 3, arbitrary: fc.constantFrom(...PORT_NAMES, 'never').map((port) => ({ port })) },
      { weight: 3, arbitrary: fc.constantFrom(...RANGES).map(([port, endPort]) => ({ port, endPort })) },
      { weight: 2, arbitrary: fc.constant({}) },
    ),
  )
  .map(([protocol, port]) => (protocol === undefined ? port : { protocol, ...port }));

const peer: fc.Arbitrary<Peer> = fc.oneof(
  { weight: 3, arbitrary: podSelector.map((selector) => ({ podSelector: selector })) },
  { weight: 3, arbitrary: namespaceSelector.map((selector) => ({ namespaceSelector: selector })) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(namespaceSelector, podSelector)
      .map(([namespaces, pods]) => ({ namespaceSelector: namespaces, podSelector: pods })),
  },
  { weight: 4, arbitrary: ipBlock.map((block) => ({ ipBlock: block })) },
);

interface Rule {
  readonly ports?: readonly PolicyPort[] | null;
  readonly peers?: readonly Peer[] | null;
}

const rule: fc.Arbitrary<Rule> = fc
  .record({ ports: listOf(policyPort, 4), peers: listOf(peer, 8) })
  .map(({ ports, peers }) => ({
    ...(ports === undefined ? {} : { ports }),
    ...(peers === undefined ? {} : { peers }),
  }));

/** Absent, null and empty are three ways to say the same, so each must occur. */
function listOf<T>(item: fc.Arbitrary<T>, weight: number): fc.Arbitrary<T[] | null | undefined> {
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom<T[] | null>(null, []) },
    { weight, arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }) },
  );
}

const policyTypes: fc.Arbitrary<PolicyType[] | undefined> = fc.constantFrom(
  undefined,
  [],
  ['Ingress'],
  ['Egress'],
  ['Ingress', 'Egress'],
  ['Egress', 'Ingress'],
);

/** Wide more often than a peer's selector, so that most worlds have something to judge; absent means all as well. */
const isolated: fc.Arbitrary<LabelSelector | undefined> = fc.oneof(
  { weight: 6, arbitrary: podSelector },
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);

/** The name is for the caller to give: names must not clash. */
export const policySpec: fc.Arbitrary<NetworkPolicySpec> = fc
  .record({
    podSelector: isolated,
    policyTypes,
    ingress: listOf(rule, 8),
    egress: listOf(rule, 8),
  })
  .map(({ podSelector: selector, policyTypes: types, ingress, egress }) => ({
    ...(selector === undefined ? {} : { podSelector: selector }),
    ...(types === undefined ? {} : { policyTypes: types }),
    ...(ingress === undefined ? {} : { ingress: ingress?.map((each) => withPeers('from', each)) ?? null }),
    ...(egress === undefined ? {} : { egress: egress?.map((each) => withPeers('to', each)) ?? null }),
  }));

export const policyNamespace: fc.Arbitrary<string> = fc.constantFrom(...NAMESPACES);

export function policyNamed(name: string, namespace: string, spec: NetworkPolicySpec): NetworkPolicy {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace }, spec };
}

function withPeers(field: 'from' | 'to', { peers, ...rest }: Rule): object {
  return peers === undefined ? rest : { ...rest, [field]: peers };
}
