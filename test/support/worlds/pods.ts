/** Random pods: one family, both or none, hostNetwork, finished, with ports by name, across the nodes of a world. */
import fc from 'fast-check';
import type { Family } from '../oracle/addresses.ts';
import type { Container, ContainerPort, Labels, Pod } from '../oracle/objects.ts';
import { podLabels } from './labels.ts';
import { nodeAddress, nodeName, podAddress } from './places.ts';
import { PORT_NAMES, PORT_NUMBERS, transport } from './policies.ts';
import { NAMESPACES } from './world.ts';

/** What a pod is made of; `slot` gives it its name and address, `host` is another's slot for finished pods. */
export interface PodSketch {
  readonly slot: number;
  readonly namespace: string;
  readonly node: number;
  readonly labels: Labels;
  readonly families: readonly Family[];
  readonly kind: 'usual' | 'hostNetwork' | 'finished' | 'failed' | 'pending';
  readonly formerSlot: number;
  readonly containers: readonly Container[];
  readonly sidecar: boolean;
}

const containerPort: fc.Arbitrary<ContainerPort> = fc
  .record({
    name: fc.option(fc.constantFrom(...PORT_NAMES), { freq: 4, nil: undefined }),
    containerPort: fc.constantFrom(...PORT_NUMBERS),
    protocol: fc.option(transport, { nil: undefined }),
  })
  .map(({ name, protocol, ...rest }) => ({
    ...(name === undefined ? {} : { name }),
    ...(protocol === undefined ? {} : { protocol }),
    ...rest,
  }));

/** Names are unique within a container, as the API server demands; another container may use them again. */
const container: fc.Arbitrary<Pick<Container, 'ports'>> = fc.record({
  ports: fc.uniqueArray(containerPort, {
    maxLength: 3,
    selector: ({ name, containerPort: number, protocol = 'TCP' }) => name ?? `${number}/${protocol}`,
  }),
});

export const containers: fc.Arbitrary<Container[]> = fc
  .array(container, { minLength: 1, maxLength: 2 })
  .map((list) => list.map((each, index) => ({ name: `c${index}`, image: 'example.org/app', ...each })));

export const families: fc.Arbitrary<Family[]> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Family[]>(['IPv4', 'IPv6']) },
  { weight: 2, arbitrary: fc.constantFrom<Family[]>(['IPv6', 'IPv4'], ['IPv4'], ['IPv6']) },
  { weight: 1, arbitrary: fc.constant<Family[]>([]) },
);

export function podSketch(slots: { from: number; to: number }): fc.Arbitrary<PodSketch> {
  return fc.record({
    slot: fc.integer({ min: slots.from, max: slots.to }),
    namespace: fc.constantFrom(...NAMESPACES),
    node: fc.nat(2),
    labels: podLabels,
    families,
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant('usual' as const) },
      { weight: 1, arbitrary: fc.constant('hostNetwork' as const) },
      { weight: 1, arbitrary: fc.constantFrom('finished' as const, 'failed' as const) },
      { weight: 1, arbitrary: fc.constant('pending' as const) },
    ),
    formerSlot: fc.integer({ min: 0, max: 11 }),
    containers,
    sidecar: fc.boolean(),
  });
}

const PHASES = {
  usual: 'Running',
  hostNetwork: 'Running',
  finished: 'Succeeded',
  failed: 'Failed',
  pending: 'Pending',
} as const;

export function podFrom(sketch: PodSketch, nodeCount: number): Pod {
  const node = sketch.node % nodeCount;
  const [first, ...others] = sketch.containers;
  const main = first === undefined ? [] : [first];
  // The second container is sometimes a sidecar: an init container that keeps running.
  const extra = sketch.sidecar
    ? { containers: main, initContainers: others.map((each) => ({ ...each, restartPolicy: 'Always' })) }
    : { containers: [...main, ...others] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${sketch.slot}`, namespace: sketch.namespace, labels: sketch.labels },
    spec: {
      nodeName: nodeName(node),
      ...(sketch.kind === 'hostNetwork' ? { hostNetwork: true } : {}),
      ...extra,
    },
    status: { phase: PHASES[sketch.kind], podIPs: addressesFor(sketch, node).map((ip) => ({ ip })) },
  };
}

function addressesFor({ kind, families: own, slot, formerSlot }: PodSketch, node: number): string[] {
  if (kind === 'hostNetwork') return [nodeAddress(node, 'IPv4'), nodeAddress(node, 'IPv6')];
  // A finished pod keeps its last address in its status, while a live one may have it by now.
  const host = kind === 'finished' || kind === 'failed' ? formerSlot : slot;
  return own.map((family) => podAddress(node, host, family));
}
