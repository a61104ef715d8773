/** Random cluster events over a universe so small that everything collides: names, labels, addresses, port names. */
import fc from 'fast-check';
import type { Address, Prefix } from '../../src/model/address.ts';
import {
  type ClusterEvent,
  type ClusterObject,
  type ContainerPort,
  type Direction,
  keyOf,
  type Namespace,
  type NetworkPolicy,
  type Peer,
  type Pod,
  type PolicyPort,
  type PolicyRule,
  type Protocol,
  type Requirement,
  type Selector,
} from '../../src/model/cluster.ts';

const namespaces = ['red', 'blue', 'green'];
const keys = ['app', 'tier'];
const values = ['a', 'b', 'c'];
const addresses4 = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2', '10.1.0.1'] as Address[];
const addresses6 = ['fd00::1', 'fd00::2', 'fd00:1::1'] as Address[];
const protocol = fc.constantFrom<Protocol>('TCP', 'UDP');
const portName = fc.constantFrom('http', 'dns');
const number = fc.constantFrom(53, 80, 81);

const labels = fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), {
  maxKeys: 2,
  noNullPrototype: true,
});

const namespace: fc.Arbitrary<Namespace> = fc
  .record({ name: fc.constantFrom(...namespaces), labels })
  .map(({ name, labels }) => ({
    kind: 'Namespace',
    name,
    labels: { ...labels, 'kubernetes.io/metadata.name': name },
  }));

const containerPort: fc.Arbitrary<ContainerPort> = fc
  .record({ name: fc.option(portName, { nil: undefined }), protocol, port: number })
  .map(({ name, ...port }) => (name === undefined ? port : { ...port, name }));

const anyPod: fc.Arbitrary<Pod> = fc
  .record({
    namespace: fc.constantFrom(...namespaces),
    name: fc.constantFrom('p', 'q', 'r'),
    labels,
    node: fc.constantFrom('here', 'here', 'there', undefined),
    addresses: fc.tuple(
      fc.option(fc.constantFrom(...addresses4), { nil: undefined }),
      fc.option(fc.constantFrom(...addresses6), { nil: undefined }),
    ),
    hostNetwork: rarely(),
    finished: rarely(),
    ports: fc.array(containerPort, { maxLength: 3 }),
  })
  .map(({ node, addresses, ...rest }) => ({
    kind: 'Pod',
    ...rest,
    addresses: addresses.filter((address) => address !== undefined),
    ...(node !== undefined && { node }),
  }));

const addressOf: Readonly<Record<string, Address>> = {
  'red/p': '10.0.0.1' as Address,
  'red/q': '10.0.0.2' as Address,
  'blue/p': '10.0.1.1' as Address,
};

/** One of a few pods as it always is but for one field: updates that differ by so little are where one is overlooked. */
const editedPod: fc.Arbitrary<Pod> = fc
  .record({
    place: fc.constantFrom(...Object.keys(addressOf)),
    field: fc.constantFrom('labels', 'node', 'addresses', 'hostNetwork', 'finished', 'ports'),
    other: anyPod,
  })
  .map(({ place, field, other }) => {
    const [namespace = '', name = ''] = place.split('/');
    const plain: Pod = {
      kind: 'Pod',
      namespace,
      name,
      labels: { app: 'a' },
      node: 'here',
      addresses: [addressOf[place] as Address],
      hostNetwork: false,
      finished: false,
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    };
    if (field in other) return { ...plain, [field]: other[field as keyof Pod] };
    const { node: _, ...unbound } = plain;
    return unbound;
  });

const pod = fc.oneof(anyPod, editedPod);

const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key: fc.constantFrom(...keys),
    operator: fc.constantFrom('In', 'In', 'NotIn'),
    values: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ key: fc.constantFrom(...keys), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);

const selector: fc.Arbitrary<Selector> = fc.record({ requirements: fc.array(requirement, { maxLength: 2 }) });

const peer: fc.Arbitrary<Peer> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ podSelector: selector }).map((rest) => ({ kind: 'pods' as const, ...rest })) },
  {
    weight: 2,
    arbitrary: fc.record({ namespaceSelector: selector }).map((rest) => ({ kind: 'pods' as const, ...rest })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ namespaceSelector: selector, podSelector: selector })
      .map((rest) => ({ kind: 'pods' as const, ...rest })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        cidr: fc.constantFrom('10.0.0.0/16', '10.0.0.0/8', '0.0.0.0/0', 'fd00::/32') as fc.Arbitrary<Prefix>,
        except: fc.uniqueArray(fc.constantFrom('10.0.1.0/24', '10.0.0.2/32') as fc.Arbitrary<Prefix>),
      })
      .map((rest) => ({ kind: 'ipBlock' as const, ...rest })),
  },
);

const policyPort: fc.Arbitrary<PolicyPort> = fc.oneof(
  fc
    .record({ protocol, from: number, length: fc.nat(2) })
    .map(({ protocol, from, length }) => ({ kind: 'range' as const, protocol, from, to: from + length })),
  fc.record({ protocol, name: portName }).map((rest) => ({ kind: 'named' as const, ...rest })),
);

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  peers: fc.array(peer, { maxLength: 2 }),
  ports: fc.array(policyPort, { maxLength: 3 }),
});

const policy: fc.Arbitrary<NetworkPolicy> = fc
  .record({
    namespace: fc.constantFrom(...namespaces),
    name: fc.constantFrom('x', 'y'),
    podSelector: selector,
    policyTypes: fc.constantFrom<readonly Direction[]>(['ingress'], ['egress'], ['ingress', 'egress']),
    ingress: fc.array(rule, { maxLength: 2 }),
    egress: fc.array(rule, { maxLength: 2 }),
  })
  .map((rest) => ({ kind: 'NetworkPolicy', ...rest }));

const object: fc.Arbitrary<ClusterObject> = fc.oneof(
  { weight: 2, arbitrary: namespace },
  { weight: 6, arbitrary: pod },
  { weight: 4, arbitrary: policy },
);

export const event: fc.Arbitrary<ClusterEvent> = fc.oneof(
  { weight: 4, arbitrary: object.map((object) => ({ type: 'upsert' as const, object })) },
  {
    weight: 1,
    arbitrary: object.map((object) => ({ type: 'delete' as const, kind: object.kind, key: keyOf(object) })),
  },
);

/** Events in the steps in which a source might deliver them. */
export const steps: fc.Arbitrary<ClusterEvent[][]> = fc.array(fc.array(event, { maxLength: 6 }), { maxLength: 12 });

/** What is there after all events, by kind and key. */
export function finalObjects(events: readonly ClusterEvent[]): ClusterObject[] {
  const objects = new Map<string, ClusterObject>();
  for (const event of events) {
    if (event.type === 'upsert') objects.set(`${event.object.kind} ${keyOf(event.object)}`, event.object);
    else objects.delete(`${event.kind} ${event.key}`);
  }
  return [...objects.values()];
}

function rarely(): fc.Arbitrary<boolean> {
  return fc.nat(9).map((n) => n === 0);
}
