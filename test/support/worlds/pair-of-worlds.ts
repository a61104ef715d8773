/**
 * A world and the next state of it, for tests of updates: labels, policies, pods and addresses change together. The
 * changes are data, so that a failing pair shrinks to the fewest of them.
 */
import fc from 'fast-check';
import type { Family } from '../oracle/addresses.ts';
import type { Container, Labels, NetworkPolicySpec, Pod, PolicyType } from '../oracle/objects.ts';
import { namespaceLabels, podLabels } from './labels.ts';
import { FIRST_ADDED_SLOT } from './places.ts';
import { containers, type PodSketch, podFrom, podSketch } from './pods.ts';
import { policyNamed, policyNamespace, policySpec } from './policies.ts';
import { isLive, NAMESPACES, podIPsOf, type World } from './world.ts';
import { namespaceNamed, worldArbitrary } from './world-arbitrary.ts';

/** Indexes count modulo what is there; a change that finds nothing to change does nothing. */
export type Change =
  | { readonly kind: 'relabel-pod'; readonly index: number; readonly labels: Labels }
  | { readonly kind: 'relabel-namespace'; readonly name: string; readonly labels: Labels }
  | { readonly kind: 'remove-namespace'; readonly name: string }
  | { readonly kind: 'change-ports'; readonly index: number; readonly containers: readonly Container[] }
  | { readonly kind: 'add-pod'; readonly sketch: PodSketch }
  | { readonly kind: 'remove-pod'; readonly index: number }
  | { readonly kind: 'finish-pod'; readonly index: number }
  | { readonly kind: 'hand-over-address'; readonly index: number; readonly labels: Labels }
  | { readonly kind: 'swap-addresses'; readonly index: number; readonly other: number }
  | { readonly kind: 'keep-family'; readonly index: number; readonly family: Family }
  | { readonly kind: 'add-policy'; readonly namespace: string; readonly spec: NetworkPolicySpec }
  | { readonly kind: 'replace-policy'; readonly index: number; readonly spec: NetworkPolicySpec }
  | { readonly kind: 'remove-policy'; readonly index: number }
  | { readonly kind: 'turn-policy'; readonly index: number; readonly opens: PolicyType };

export interface PairOfWorlds {
  readonly before: World;
  readonly changes: readonly Change[];
  readonly after: World;
}

const index = fc.nat(11);
const namespace = fc.constantFrom(...NAMESPACES);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('relabel-pod' as const), index, labels: podLabels }),
  fc.record({ kind: fc.constant('relabel-namespace' as const), name: namespace, labels: namespaceLabels }),
  fc.record({ kind: fc.constant('remove-namespace' as const), name: namespace }),
  fc.record({ kind: fc.constant('change-ports' as const), index, containers }),
  fc.record({
    kind: fc.constant('add-pod' as const),
    sketch: podSketch({ from: FIRST_ADDED_SLOT, to: FIRST_ADDED_SLOT + 3 }),
  }),
  fc.record({ kind: fc.constant('remove-pod' as const), index }),
  fc.record({ kind: fc.constant('finish-pod' as const), index }),
  fc.record({ kind: fc.constant('hand-over-address' as const), index, labels: podLabels }),
  fc.record({ kind: fc.constant('swap-addresses' as const), index, other: index }),
  fc.record({
    kind: fc.constant('keep-family' as const),
    index,
    family: fc.constantFrom('IPv4' as const, 'IPv6' as const),
  }),
  fc.record({ kind: fc.constant('add-policy' as const), namespace: policyNamespace, spec: policySpec }),
  fc.record({ kind: fc.constant('replace-policy' as const), index, spec: policySpec }),
  fc.record({ kind: fc.constant('remove-policy' as const), index }),
  fc.record({
    kind: fc.constant('turn-policy' as const),
    index,
    opens: fc.constantFrom('Ingress' as const, 'Egress' as const),
  }),
);

export const pairOfWorlds: fc.Arbitrary<PairOfWorlds> = fc
  .tuple(worldArbitrary, fc.array(change, { minLength: 1, maxLength: 6 }))
  .map(([before, changes]) => ({ before, changes, after: changes.reduce(applyChange, before) }));

/** The next state; the world that is handed in stays as it is. */
export function applyChange(world: World, step: Change): World {
  switch (step.kind) {
    case 'relabel-namespace':
    case 'remove-namespace':
      return changeNamespace(world, step);
    case 'add-policy':
    case 'replace-policy':
    case 'remove-policy':
    case 'turn-policy':
      return changePolicy(world, step);
    case 'add-pod':
      return addPod(world, step.sketch);
    case 'swap-addresses':
      return swapAddresses(world, step);
    case 'hand-over-address':
      return handOver(world, step);
    default:
      return changePod(world, step);
  }
}

type Kind<K extends Change['kind']> = Extract<Change, { kind: K }>;

function changeNamespace(world: World, step: Kind<'relabel-namespace' | 'remove-namespace'>): World {
  const others = world.namespaces.filter(({ metadata }) => metadata.name !== step.name);
  if (step.kind === 'remove-namespace') return { ...world, namespaces: others };
  return { ...world, namespaces: [...others, namespaceNamed(step.name, step.labels)] };
}

function changePolicy(
  world: World,
  step: Kind<'add-policy' | 'replace-policy' | 'remove-policy' | 'turn-policy'>,
): World {
  const { policies } = world;
  if (step.kind === 'add-policy') {
    const added = policyNamed(`added${policies.length}-${world.pods.length}`, step.namespace, step.spec);
    const rest = policies.filter(({ metadata }) => metadata.name !== added.metadata.name);
    return { ...world, policies: [...rest, added] };
  }
  const chosen = pick(policies, step.index);
  if (chosen === undefined) return world;
  if (step.kind === 'remove-policy') return { ...world, policies: policies.filter((each) => each !== chosen) };
  // The hard one for an update: one direction opens while the other closes, for the same pods.
  const spec: NetworkPolicySpec =
    step.kind === 'replace-policy'
      ? step.spec
      : {
          podSelector: chosen.spec?.podSelector ?? {},
          policyTypes: ['Ingress', 'Egress'],
          ingress: step.opens === 'Ingress' ? [{}] : [],
          egress: step.opens === 'Egress' ? [{}] : [],
        };
  return { ...world, policies: policies.map((each) => (each === chosen ? { ...each, spec } : each)) };
}

function changePod(
  world: World,
  step: Kind<'relabel-pod' | 'change-ports' | 'remove-pod' | 'finish-pod' | 'keep-family'>,
): World {
  const pod = pick(world.pods, step.index);
  if (pod === undefined) return world;
  switch (step.kind) {
    case 'remove-pod':
      return { ...world, pods: world.pods.filter((each) => each !== pod) };
    case 'relabel-pod':
      return replacePod(world, pod, { ...pod, metadata: { ...pod.metadata, labels: step.labels } });
    case 'finish-pod':
      return replacePod(world, pod, { ...pod, status: { ...pod.status, phase: 'Succeeded' } });
    case 'change-ports': {
      const { initContainers: _, ...spec } = pod.spec;
      return replacePod(world, pod, { ...pod, spec: { ...spec, containers: step.containers } });
    }
    case 'keep-family': {
      if (!isLive(pod)) return world;
      const kept = podIPsOf(pod).filter((ip) => ip.includes(':') === (step.family === 'IPv6'));
      return replacePod(world, pod, withAddresses(pod, kept));
    }
  }
}

/** A name or an address that somebody has, be it by a swap or as an heir, is not given again. */
function addPod(world: World, sketch: PodSketch): World {
  const pod = podFrom(sketch, world.nodes.length);
  const taken = new Set(world.pods.filter(isLive).flatMap(podIPsOf));
  if (isLive(pod) && podIPsOf(pod).some((ip) => taken.has(ip))) return world;
  if (world.pods.some(({ metadata }) => metadata.name === pod.metadata.name)) return world;
  return { ...world, pods: [...world.pods, pod] };
}

/** Two pods of one node change addresses, as if both had been made anew under their names. */
function swapAddresses(world: World, step: Kind<'swap-addresses'>): World {
  const one = pick(world.pods.filter(isLive), step.index);
  const neighbours = world.pods.filter((pod) => isLive(pod) && pod.spec.nodeName === one?.spec.nodeName);
  const other = pick(neighbours, step.other);
  if (one === undefined || other === undefined || one === other) return world;
  const swapped = replacePod(world, one, withAddresses(one, podIPsOf(other)));
  return replacePod(swapped, other, withAddresses(other, podIPsOf(one)));
}

/** A pod finishes, and a new one with other labels has its address at once. */
function handOver(world: World, step: Kind<'hand-over-address'>): World {
  const pod = pick(world.pods.filter(isLive), step.index);
  if (pod === undefined) return world;
  const name = `${pod.metadata.name}-heir`;
  if (world.pods.some(({ metadata }) => metadata.name === name)) return world;
  const heir = { ...pod, metadata: { ...pod.metadata, name, labels: step.labels } };
  const finished = { ...pod, status: { ...pod.status, phase: 'Succeeded' } };
  const next = replacePod(world, pod, finished);
  return { ...next, pods: [...next.pods, heir] };
}

function replacePod(world: World, old: Pod, next: Pod): World {
  return { ...world, pods: world.pods.map((pod) => (pod === old ? next : pod)) };
}

function withAddresses(pod: Pod, ips: readonly string[]): Pod {
  return { ...pod, status: { ...pod.status, podIPs: ips.map((ip) => ({ ip })) } };
}

function pick<T>(items: readonly T[], index: number): T | undefined {
  return items[index % items.length];
}
