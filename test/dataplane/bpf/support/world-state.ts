/** States said in a line: pods in sets, one isolated local pod that one ruleset's rules admit them to. */
import type { DesiredState } from '../../../../src/dataplane/contract.ts';
import type { Address } from '../../../../src/model/address.ts';
import type { ObjectKey } from '../../../../src/model/cluster.ts';
import type { CompiledRule, Endpoint, IpSet, Ruleset, RulesetId, SetId } from '../../../../src/model/compiled.ts';
import type { Binding } from '../../../../src/model/links.ts';

export interface World {
  readonly pods: readonly { readonly address: string; readonly sets: readonly string[] }[];
  /** Of the ruleset `isolated`; ports are of TCP. */
  readonly rules: readonly { readonly peers: readonly string[] | 'anyone'; readonly ports: readonly number[] }[];
  /** Beside `ns/server`, 10.0.0.1 behind interface 30, which holds `isolated`. */
  readonly local?: readonly {
    readonly ifindex: number;
    readonly pod: string;
    readonly addresses: readonly string[];
    readonly ingress?: string;
  }[];
}

/** Two sets with a pod in both and one in one. */
export const podsInSets: World = {
  pods: [
    { address: '10.1.0.1', sets: ['web', 'shop'] },
    { address: '10.1.0.2', sets: ['shop'] },
    { address: 'fd00:1::1', sets: ['web', 'shop'] },
  ],
  rules: [
    { peers: ['web'], ports: [80] },
    { peers: ['shop'], ports: [443] },
  ],
};

const POLICY = 'ns/policy' as ObjectKey;
const ISOLATED = 'isolated' as RulesetId;

export function worldState({ pods, rules, local = [] }: World): DesiredState {
  const server = { ifindex: 30, pod: 'ns/server', addresses: ['10.0.0.1'], ingress: ISOLATED };
  const endpoints = new Map<ObjectKey, Endpoint>();
  const bindings = new Map<number, Binding>();
  for (const { ifindex, pod, addresses, ingress } of [server, ...local]) {
    const key = pod as ObjectKey;
    const held = ingress === undefined ? {} : { ingress: ingress as RulesetId };
    endpoints.set(key, { pod: key, addresses: addresses.map(address), ...held });
    const link = { ifindex, name: `veth${ifindex}`, addresses: addresses.map(address) };
    bindings.set(ifindex, { kind: 'endpoint', link, pod: key, linkLocal: [] });
  }
  const compiled = rules.map(({ peers, ports }, index): CompiledRule => {
    const ranges = ports.map((port) => ({ protocol: 'TCP' as const, from: port, to: port }));
    const ref = { policy: POLICY, direction: 'ingress' as const, index };
    return { ref, peers: peers as SetId[] | 'anyone', ports: ranges };
  });
  const ruleset: Ruleset = { id: ISOLATED, direction: 'ingress', policies: [POLICY], rules: compiled };
  const named = new Set(rules.flatMap(({ peers }) => (peers === 'anyone' ? [] : peers)));
  const sets = new Map([...named].map((name) => [name as SetId, podSet(name, pods)]));
  const memberships = new Map<Address, Set<SetId>>();
  for (const pod of pods) {
    const in_ = pod.sets.filter((name) => named.has(name)) as SetId[];
    if (in_.length > 0) memberships.set(address(pod.address), new Set(in_));
  }
  return {
    compiled: { endpoints, rulesets: new Map([[ISOLATED, ruleset]]), sets, memberships, awaited: new Map() },
    bindings,
    exits: new Map(),
    ownAddresses: new Set(),
    pending: 'open',
  };
}

export function address(text: string): Address {
  return text as Address;
}

function podSet(name: string, pods: World['pods']): IpSet {
  const members = pods.filter(({ sets }) => sets.includes(name)).map((pod) => address(pod.address));
  return { kind: 'pods', id: name as SetId, members: new Set(members) };
}
