/**
 * The questions that a world raises: every pair of pods, node addresses and addresses at the edges of its blocks, with
 * every protocol and port that a policy or container names and those just beside them.
 */
import { contains, type Family, parseAddress, parseBlock } from '../oracle/addresses.ts';
import type { Peer, Pod, PolicyPort } from '../oracle/objects.ts';
import type { Protocol, Question } from '../oracle/oracle.ts';
import { canonicalText, edgesOf, OUTSIDE_ADDRESSES } from './blocks.ts';
import { isFinished, isLive, podIPsOf, type World } from './world.ts';

type Pair = Pick<Question, 'from' | 'to' | 'family'>;
type Traffic = Pick<Question, 'protocol' | 'port'>;

/**
 * At most that many questions, spread evenly over all there are, and the same ones for the same world. Half of them are
 * between pods, so that a world with many blocks does not ask about little else. Every one has a verdict.
 */
export function questionsOf(world: World, { atMost = 2000 }: { atMost?: number } = {}): Question[] {
  const pods = world.pods.filter((pod) => !isFinished(pod) && familiesOf(pod).length > 0);
  const traffics = trafficsOf(world);
  const between = pairsOfPods(pods);
  const beyond = pairsBeyond(pods.filter(isLive), outerAddressesOf(world));
  const half = Math.ceil(atMost / 2);
  const rest = Math.max(half, atMost - between.length * traffics.length);
  return [
    ...spread(between, traffics, atMost - Math.min(half, beyond.length * traffics.length)),
    ...spread(beyond, traffics, rest),
  ].slice(0, atMost);
}

/** What to ask about an update: the questions of both states, about ends that exist in both. */
export function questionsOfBoth(before: World, after: World, { atMost = 2000 }: { atMost?: number } = {}): Question[] {
  const known = [before, after].map(({ pods }) => new Set(pods.map(podName)));
  const lasting = ({ from, to }: Question) =>
    [from, to].every((end) => !end.includes('/') || known.every((names) => names.has(end)));
  const half = { atMost: Math.ceil(atMost / 2) };
  const all = [...questionsOf(before, half), ...questionsOf(after, half)].filter(lasting);
  return [...new Map(all.map((question) => [JSON.stringify(question), question])).values()];
}

function pairsOfPods(pods: readonly Pod[]): Pair[] {
  return pods.flatMap((from) =>
    pods.flatMap((to) =>
      isLive(from) || isLive(to)
        ? familiesOf(from)
            .filter((family) => familiesOf(to).includes(family))
            .map((family) => ({ from: podName(from), to: podName(to), family }))
        : [],
    ),
  );
}

function pairsBeyond(pods: readonly Pod[], addresses: readonly string[]): Pair[] {
  return pods.flatMap((pod) =>
    addresses.flatMap((address) => {
      const { family } = parseAddress(address);
      if (!familiesOf(pod).includes(family)) return [];
      const name = podName(pod);
      return [
        { from: name, to: address, family },
        { from: address, to: name, family },
      ];
    }),
  );
}

/** `atMost` of all pairs with all traffics: steps of about the golden ratio meet every pair and every traffic early. */
function spread(pairs: readonly Pair[], traffics: readonly Traffic[], atMost: number): Question[] {
  const total = pairs.length * traffics.length;
  let step = Math.max(1, Math.floor(total * 0.618));
  while (greatestCommonDivisor(step, total) > 1) step += 1;
  return Array.from({ length: Math.min(total, Math.max(0, atMost)) }, (_, index) => {
    const place = (index * step) % total;
    const pair = pairs[Math.floor(place / traffics.length)] as Pair;
    return { ...pair, ...(traffics[place % traffics.length] as Traffic) };
  });
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}

/** Node addresses, addresses outside, what finished pods left behind, and both sides of every block's edges. */
function outerAddressesOf(world: World): string[] {
  const nodes = world.nodes
    .flatMap(({ status }) => status?.addresses ?? [])
    .filter(({ type }) => type.endsWith('IP'))
    .map(({ address }) => address);
  const former = world.pods.filter(isFinished).flatMap(podIPsOf);
  const edges = blocksOf(world).flatMap(edgesOf).filter(isOrdinary).map(canonicalText);
  return [...new Set([...nodes, ...OUTSIDE_ADDRESSES, ...former, ...edges])];
}

function blocksOf(world: World) {
  return rulesOf(world)
    .flatMap(({ peers }) => peers)
    .flatMap(({ ipBlock }) => (ipBlock == null ? [] : [ipBlock.cidr, ...(ipBlock.except ?? [])]))
    .map(parseBlock);
}

/** Addresses that no packet should come from: unspecified, loopback, link-local, multicast, and a subnet's gateway. */
const SPECIAL = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'],
  ...['::/8', 'fe80::/9', 'ff00::/8'],
  ...[0, 1, 2].flatMap((node) => [`10.244.${node}.0/31`, `10.244.${node}.255/32`, `fd00:10:244:${node}::/127`]),
].map(parseBlock);

function isOrdinary(address: Parameters<typeof canonicalText>[0]): boolean {
  return !SPECIAL.some((block) => contains(block, address));
}

/** ICMP and GRE, and with TCP, UDP and SCTP each number that somebody names and its neighbours in ranges. */
function trafficsOf(world: World): Traffic[] {
  const named = world.pods.flatMap(({ spec }) =>
    [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ ports }) => ports ?? []),
  );
  const ruled = rulesOf(world).flatMap(({ ports }) => ports);
  const numbers = [7, ...named.map(({ containerPort }) => containerPort), ...ruled.flatMap(numbersAround)];
  const valid = [...new Set(numbers)].filter((port) => port >= 1 && port <= 65535);
  const protocols: Protocol[] = ['TCP', 'UDP', 'SCTP'];
  return [
    ...protocols.flatMap((protocol) => valid.map((port) => ({ protocol, port }))),
    { protocol: 'ICMP' },
    { protocol: 47 },
  ];
}

function numbersAround({ port, endPort }: PolicyPort): number[] {
  if (typeof port !== 'number') return [];
  return endPort == null ? [port] : [port - 1, port, endPort, endPort + 1];
}

function rulesOf({ policies }: World): { ports: readonly PolicyPort[]; peers: readonly Peer[] }[] {
  return policies.flatMap(({ spec }) => [
    ...(spec?.ingress ?? []).map(({ ports, from }) => ({ ports: ports ?? [], peers: from ?? [] })),
    ...(spec?.egress ?? []).map(({ ports, to }) => ({ ports: ports ?? [], peers: to ?? [] })),
  ]);
}

function familiesOf(pod: Pod): Family[] {
  return podIPsOf(pod).map((ip) => parseAddress(ip).family);
}

function podName({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`;
}
