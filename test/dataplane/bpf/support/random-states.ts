/**
 * Small random states for the data plane, made directly and not through the compiler: few addresses, sets, blocks and
 * rulesets with the same names in every state, so that any two states share and change a lot.
 */
import fc from 'fast-check';
import type { DesiredState } from '../../../../src/dataplane/contract.ts';
import type { Address, Prefix } from '../../../../src/model/address.ts';
import { familyOf } from '../../../../src/model/address.ts';
import type { ObjectKey } from '../../../../src/model/cluster.ts';
import type {
  CompiledRule,
  CompiledState,
  Endpoint,
  IpSet,
  PortRange,
  Ruleset,
  RulesetId,
  SetId,
  StateChanges,
} from '../../../../src/model/compiled.ts';
import type { Binding } from '../../../../src/model/links.ts';

export const POD_ADDRESSES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.3',
  '10.0.1.4',
  'fd00::1',
  'fd00::2',
  'fd00:1::3',
] as Address[];
export const OTHER_ADDRESSES = [
  '10.0.0.129',
  '192.0.2.1',
  '192.0.2.130',
  '8.8.8.8',
  'fd00::8000',
  '2001:db8::1',
] as Address[];
export const PORTS = [79, 80, 81, 443, 8080] as const;

const BLOCKS: readonly (readonly [string, ...string[]])[] = [
  ['0.0.0.0/0'],
  ['0.0.0.0/0', '10.0.0.0/8'],
  ['10.0.0.0/16', '10.0.0.0/25', '10.0.0.129/32'],
  ['10.0.0.0/30'],
  ['10.0.0.2/32'],
  ['192.0.2.0/24', '192.0.2.128/25'],
  ['192.0.2.128/25', '192.0.2.130/32'],
  ['::/0', 'fd00::/16'],
  ['fd00::/64', 'fd00::8000/113'],
  ['fd00::1/128'],
];
const SELECTORS = ['a', 'b', 'c', 'd', 'e'];
const RULESETS = ['r', 's', 't', 'u'];
const PODS = ['p', 'q', 'x', 'y'];

const setIds = [...SELECTORS.map(selectorId), ...BLOCKS.map(([cidr, ...except]) => blockId(cidr, except))];

const port = fc.constantFrom(...PORTS);
const range = fc
  .tuple(fc.constantFrom('TCP', 'UDP', 'SCTP'), port, port)
  .map(([protocol, a, b]): PortRange => ({ protocol: protocol as 'TCP', from: Math.min(a, b), to: Math.max(a, b) }));
const rule = fc.record({
  peers: fc.oneof(
    { weight: 1, arbitrary: fc.constant('anyone' as const) },
    { weight: 4, arbitrary: fc.subarray(setIds, { minLength: 1, maxLength: 3 }) },
  ),
  ports: fc.oneof(
    { weight: 1, arbitrary: fc.constant('every' as const) },
    { weight: 3, arbitrary: fc.array(range, { maxLength: 3 }) },
  ),
});
const rules = fc.array(rule, { maxLength: 4 });
const pod = fc.record({
  bound: fc.boolean(),
  addresses: fc.subarray(POD_ADDRESSES, { minLength: 1, maxLength: 2 }).map(oneOfAFamily),
  ingress: fc.option(fc.constantFrom(...RULESETS), { nil: undefined }),
  egress: fc.option(fc.constantFrom(...RULESETS), { nil: undefined }),
});

const parts = fc.record({
  members: fc.tuple(...SELECTORS.map(() => fc.subarray([...POD_ADDRESSES, OTHER_ADDRESSES[1] as Address]))),
  rules: fc.tuple(...RULESETS.flatMap(() => [rules, rules])),
  pods: fc.tuple(...PODS.map(() => fc.option(pod, { nil: undefined }))),
  own: fc.subarray(['10.0.0.129', 'fd00::8000'] as Address[]),
  pending: fc.constantFrom('open' as const, 'closed' as const),
});
type Parts = typeof parts extends fc.Arbitrary<infer T> ? T : never;
const PARTS = ['members', 'rules', 'pods', 'own', 'pending'] as const;

export const desiredState: fc.Arbitrary<DesiredState> = parts.map(stateOf);

/** Two to four states, of which each has only some things other than the one before: seldom does everything move at once. */
export const relatedStates: fc.Arbitrary<DesiredState[]> = fc
  .tuple(parts, fc.array(fc.tuple(parts, fc.subarray([...PARTS], { minLength: 1 })), { minLength: 1, maxLength: 3 }))
  .map(([first, steps]) => {
    const states = [first];
    for (const [drawn, which] of steps) {
      const next = { ...(states.at(-1) as Parts) };
      for (const part of which) Object.assign(next, { [part]: drawn[part] });
      states.push(next);
    }
    return states.map(stateOf);
  });

function stateOf({ members, rules: all, pods, own, pending }: Parts): DesiredState {
  const endpoints = new Map<ObjectKey, Endpoint>();
  const bindings = new Map<number, Binding>();
  const taken = new Set<Address>();
  for (const [i, drawn] of pods.entries()) {
    const name = `ns/${PODS[i]}` as ObjectKey;
    const ifindex = i === 3 ? 70_000 : 10 + i;
    const link = { ifindex, name: `veth${i}`, addresses: [] };
    const addresses = (drawn?.addresses ?? []).filter((address) => !taken.has(address));
    for (const address of addresses) taken.add(address);
    if (drawn === undefined) continue;
    if (addresses.length > 0) {
      const held = (direction: 'ingress' | 'egress') => drawn[direction] && rulesetId(direction, drawn[direction]);
      const [ingress, egress] = [held('ingress'), held('egress')];
      endpoints.set(name, { pod: name, addresses, ...(ingress && { ingress }), ...(egress && { egress }) });
    }
    bindings.set(
      ifindex,
      drawn.bound && addresses.length > 0
        ? { kind: 'endpoint', link, pod: name, linkLocal: [] }
        : { kind: 'pending', link, verdict: drawn.bound ? 'open' : 'closed', reason: 'test' },
    );
  }
  const rulesets = new Map<RulesetId, Ruleset>();
  for (const [i, drawn] of all.entries()) {
    const direction = i % 2 === 0 ? 'ingress' : 'egress';
    const id = rulesetId(direction, RULESETS[i >> 1] as string);
    if (![...endpoints.values()].some((endpoint) => endpoint[direction] === id)) continue;
    const policy = `ns/${RULESETS[i >> 1]}` as ObjectKey;
    const compiled = drawn.map((one, index): CompiledRule => ({ ref: { policy, direction, index }, ...one }));
    rulesets.set(id, { id, direction, policies: [policy], rules: compiled });
  }
  const compiled = withSets(endpoints, rulesets, members);
  return { compiled, bindings, exits: new Map(), ownAddresses: new Set(own), pending };
}

/** What differs, as the compiler would announce it. */
export function changesBetween(before: DesiredState, after: DesiredState): StateChanges {
  const [a, b] = [before.compiled, after.compiled];
  return {
    endpoints: differing(a.endpoints, b.endpoints),
    rulesets: differing(a.rulesets, b.rulesets),
    sets: new Set([...a.sets.keys(), ...b.sets.keys()].filter((id) => a.sets.has(id) !== b.sets.has(id))),
    addresses: differing(a.memberships, b.memberships, (sets) => [...sets].sort().join()),
  };
}

function differing<K, V>(
  a: ReadonlyMap<K, V>,
  b: ReadonlyMap<K, V>,
  text: (value: V) => string = (value) => JSON.stringify(value),
): Set<K> {
  const textIn = (map: ReadonlyMap<K, V>, key: K) => (map.has(key) ? text(map.get(key) as V) : undefined);
  return new Set([...a.keys(), ...b.keys()].filter((key) => textIn(a, key) !== textIn(b, key)));
}

function withSets(
  endpoints: Map<ObjectKey, Endpoint>,
  rulesets: Map<RulesetId, Ruleset>,
  members: readonly (readonly Address[])[],
): CompiledState {
  const used = new Set<SetId>();
  for (const { rules: list } of rulesets.values()) {
    for (const { peers } of list) if (peers !== 'anyone') for (const id of peers) used.add(id);
  }
  const sets = new Map<SetId, IpSet>();
  const memberships = new Map<Address, Set<SetId>>();
  for (const [i, name] of SELECTORS.entries()) {
    const id = selectorId(name);
    if (!used.has(id)) continue;
    sets.set(id, { kind: 'pods', id, members: new Set(members[i]) });
    for (const address of members[i] ?? []) {
      memberships.set(address, (memberships.get(address) ?? new Set()).add(id));
    }
  }
  for (const [cidr, ...except] of BLOCKS) {
    const id = blockId(cidr, except);
    if (used.has(id)) sets.set(id, { kind: 'ipBlock', id, cidr: cidr as Prefix, except: except as Prefix[] });
  }
  return { endpoints, rulesets, sets, memberships, awaited: new Map() };
}

function oneOfAFamily(addresses: readonly Address[]): Address[] {
  return addresses.filter((address, i) => addresses.findIndex((a) => familyOf(a) === familyOf(address)) === i);
}

function selectorId(name: string): SetId {
  return `pods ${name}` as SetId;
}

function blockId(cidr: string, except: readonly string[]): SetId {
  return `ipBlock ${cidr} except ${except.join()}` as SetId;
}

function rulesetId(direction: string, name: string): RulesetId {
  return `${direction} ${name}` as RulesetId;
}
