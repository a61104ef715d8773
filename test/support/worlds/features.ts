/** What a world contains, by name: lets a test say that random worlds leave nothing out. */
import { parseAddress, parseBlock } from '../oracle/addresses.ts';
import type { LabelSelector, Peer, PolicyPort } from '../oracle/objects.ts';
import { isFinished, isLive, NAMESPACES, podIPsOf, type World } from './world.ts';

interface Parts {
  readonly world: World;
  readonly ports: readonly PolicyPort[];
  readonly peers: readonly Peer[];
  readonly selectors: readonly LabelSelector[];
  /** Each block with its excepts, as texts. */
  readonly blocks: readonly { cidr: string; except: readonly string[] }[];
  /** Every rule's lists as written, where undefined is absent. */
  readonly lists: readonly unknown[];
  readonly ruleLists: readonly unknown[];
}

const FEATURES: Readonly<Record<string, (parts: Parts) => boolean>> = {
  'no policy': ({ world }) => world.policies.length === 0,
  'one node': ({ world }) => world.nodes.length === 1,
  'three nodes': ({ world }) => world.nodes.length === 3,
  'a namespace without an object': ({ world }) =>
    NAMESPACES.some((name) => !world.namespaces.some(({ metadata }) => metadata.name === name)),

  'a hostNetwork pod': ({ world }) => world.pods.some(({ spec }) => spec.hostNetwork === true),
  'a finished pod': ({ world }) => world.pods.some(isFinished),
  'a reused address': ({ world }) =>
    world.pods.some((old) => isFinished(old) && world.pods.some((pod) => isLive(pod) && sharesAddress(old, pod))),
  'a pod without an address': ({ world }) => world.pods.some((pod) => podIPsOf(pod).length === 0),
  'a pending pod with an address': ({ world }) =>
    world.pods.some((pod) => pod.status?.phase === 'Pending' && podIPsOf(pod).length > 0),
  'an IPv4 pod': ({ world }) => world.pods.some((pod) => familiesOf(pod) === 'IPv4'),
  'an IPv6 pod': ({ world }) => world.pods.some((pod) => familiesOf(pod) === 'IPv6'),
  'a pod with IPv6 first': ({ world }) => world.pods.some((pod) => familiesOf(pod) === 'IPv6,IPv4'),
  'a sidecar with ports': ({ world }) =>
    world.pods.some(({ spec }) => (spec.initContainers ?? []).some(({ ports }) => (ports ?? []).length > 0)),

  'policyTypes absent': ({ world }) => world.policies.some(({ spec }) => spec?.policyTypes === undefined),
  'policyTypes empty': ({ world }) => world.policies.some(({ spec }) => spec?.policyTypes?.length === 0),
  'policyTypes Egress alone': ({ world }) => world.policies.some(({ spec }) => spec?.policyTypes?.join() === 'Egress'),
  'podSelector absent': ({ world }) => world.policies.some(({ spec }) => spec?.podSelector === undefined),
  'rules absent': ({ ruleLists }) => ruleLists.includes(undefined),
  'rules null': ({ ruleLists }) => ruleLists.includes(null),
  'rules empty': ({ ruleLists }) => ruleLists.some(isEmptyList),
  'ports or peers absent': ({ lists }) => lists.includes(undefined),
  'ports or peers null': ({ lists }) => lists.includes(null),
  'ports or peers empty': ({ lists }) => lists.some(isEmptyList),

  'an empty selector': ({ selectors }) => selectors.some((selector) => Object.keys(selector).length === 0),
  matchLabels: ({ selectors }) => selectors.some(({ matchLabels }) => matchLabels != null),
  In: hasOperator('In'),
  NotIn: hasOperator('NotIn'),
  Exists: hasOperator('Exists'),
  DoesNotExist: hasOperator('DoesNotExist'),
  'labels and expressions': ({ selectors }) =>
    selectors.some(({ matchLabels, matchExpressions }) => matchLabels != null && matchExpressions != null),

  'a podSelector alone': ({ peers }) =>
    peers.some((peer) => peer.podSelector != null && peer.namespaceSelector == null),
  'a namespaceSelector alone': ({ peers }) =>
    peers.some((peer) => peer.podSelector == null && peer.namespaceSelector != null),
  'both selectors': ({ peers }) => peers.some((peer) => peer.podSelector != null && peer.namespaceSelector != null),

  'an IPv4 block': ({ blocks }) => blocks.some(({ cidr }) => cidr.includes('.')),
  'an IPv6 block': ({ blocks }) => blocks.some(({ cidr }) => cidr.includes(':')),
  'every address': ({ blocks }) => blocks.some(({ cidr }) => cidr.endsWith('/0')),
  'one address': ({ blocks }) => blocks.some(({ cidr }) => cidr.endsWith('/32') || cidr.endsWith('/128')),
  'an except': ({ blocks }) => blocks.some(({ except }) => except.length > 0),
  'nested excepts': ({ blocks }) => blocks.some(({ except }) => except.some((one) => except.some(isInside(one)))),
  'nested blocks': ({ blocks }) => blocks.some(({ cidr }) => blocks.some((other) => isInside(cidr)(other.cidr))),

  'a port number': ({ ports }) => ports.some(({ port, endPort }) => typeof port === 'number' && endPort == null),
  'a range': ({ ports }) => ports.some(({ port, endPort }) => endPort != null && endPort !== port),
  'a range of one': ({ ports }) => ports.some(({ port, endPort }) => endPort != null && endPort === port),
  'a named port': ({ ports }) => ports.some(({ port }) => typeof port === 'string'),
  'a name that no pod has': ({ ports }) => ports.some(({ port }) => port === 'never'),
  'a protocol alone': ({ ports }) => ports.some(({ port, protocol }) => port == null && protocol != null),
  'an empty port entry': ({ ports }) => ports.some((port) => Object.keys(port).length === 0),
  'a port without a protocol': ({ ports }) => ports.some(({ port, protocol }) => port != null && protocol == null),
  UDP: ({ ports }) => ports.some(({ protocol }) => protocol === 'UDP'),
  SCTP: ({ ports }) => ports.some(({ protocol }) => protocol === 'SCTP'),
};

export const ALL_FEATURES: readonly string[] = Object.keys(FEATURES);

export function featuresOf(world: World): string[] {
  const parts = partsOf(world);
  return Object.entries(FEATURES).flatMap(([name, occurs]) => (occurs(parts) ? [name] : []));
}

function partsOf(world: World): Parts {
  const specs = world.policies.map(({ spec }) => spec ?? {});
  const ruleLists = specs.flatMap(({ ingress, egress }) => [ingress, egress]);
  const lists = specs.flatMap(({ ingress, egress }) => [
    ...(ingress ?? []).flatMap(({ ports, from }) => [ports, from]),
    ...(egress ?? []).flatMap(({ ports, to }) => [ports, to]),
  ]);
  const rules = specs.flatMap(({ ingress, egress }) => [
    ...(ingress ?? []).map(({ ports, from }) => ({ ports: ports ?? [], peers: from ?? [] })),
    ...(egress ?? []).map(({ ports, to }) => ({ ports: ports ?? [], peers: to ?? [] })),
  ]);
  const peers = rules.flatMap((rule) => rule.peers);
  return {
    world,
    ruleLists,
    lists,
    peers,
    ports: rules.flatMap((rule) => rule.ports),
    selectors: [
      ...specs.map(({ podSelector }) => podSelector),
      ...peers.flatMap(({ podSelector, namespaceSelector }) => [podSelector, namespaceSelector]),
    ].filter((selector) => selector != null),
    blocks: peers.flatMap(({ ipBlock }) =>
      ipBlock == null ? [] : [{ cidr: ipBlock.cidr, except: ipBlock.except ?? [] }],
    ),
  };
}

function hasOperator(operator: string): (parts: Parts) => boolean {
  return ({ selectors }) =>
    selectors.some(({ matchExpressions }) => (matchExpressions ?? []).some((each) => each.operator === operator));
}

/** Is the other one a strict part of this one? */
function isInside(outer: string): (inner: string) => boolean {
  const wide = parseBlock(outer);
  return (inner) => {
    const narrow = parseBlock(inner);
    const behind = BigInt((wide.family === 'IPv4' ? 32 : 128) - wide.prefixLength);
    return (
      wide.family === narrow.family &&
      wide.prefixLength < narrow.prefixLength &&
      wide.value >> behind === narrow.value >> behind
    );
  };
}

function isEmptyList(list: unknown): boolean {
  return Array.isArray(list) && list.length === 0;
}

function familiesOf(pod: World['pods'][number]): string {
  return podIPsOf(pod)
    .map((ip) => parseAddress(ip).family)
    .join();
}

function sharesAddress(one: World['pods'][number], other: World['pods'][number]): boolean {
  return podIPsOf(one).some((ip) => podIPsOf(other).includes(ip));
}
