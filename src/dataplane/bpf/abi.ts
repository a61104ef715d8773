/**
 * The names of bpf/abi.h that user space uses, and the check of them against the object's BTF. Numbers, offsets and byte
 * orders all come from there; whatever is missing or not known here is named before anything is loaded.
 */
import type { Layout, MapSpec } from '../../native.ts';
import { StructCodec } from './struct-codec.ts';

/** Fields of each record, but `pad`. */
const STRUCTS = {
  endpoint: [
    'ifindex',
    'flags',
    'ingress_ruleset',
    'egress_ruleset',
    'address4',
    'identity4',
    'identity6',
    'address6',
    'link_local6',
  ],
  settings: ['pending', 'judge_own_node'],
  slot: ['slot', 'pending'],
  ipcache4_key: ['address'],
  ipcache6_key: ['address'],
  ipcache_entry: ['identity', 'flags'],
  cidr4_key: ['length', 'address'],
  cidr6_key: ['length', 'address'],
  cidr_entry: ['identity'],
  policy_key: ['ruleset', 'identity'],
  policy_entry: ['first', 'count'],
  port_range: ['from', 'to', 'protocol', 'verdict', 'rule'],
  counter_key: ['ifindex', 'rule', 'direction', 'reason'],
  counter: ['packets', 'bytes'],
  tally: ['ifindex', 'rule', 'direction', 'reason', 'told', 'since', 'packets', 'bytes'],
  event: [
    'time',
    'generation',
    'source',
    'destination',
    'source_port',
    'destination_port',
    'ifindex',
    'ruleset',
    'rule',
    'length',
    'ethertype',
    'family',
    'protocol',
    'direction',
    'verdict',
    'reason',
    'hook',
  ],
} as const;

const ENUMS = {
  pending: ['PENDING_UNSET', 'PENDING_OPEN', 'PENDING_CLOSED'],
  verdict: ['VERDICT_DENY', 'VERDICT_ALLOW'],
  direction: ['DIRECTION_INGRESS', 'DIRECTION_EGRESS'],
  reason: [
    'REASON_ALLOW_RULE',
    'REASON_ALLOW_UNISOLATED',
    'REASON_ALLOW_REPLY',
    'REASON_ALLOW_NODE',
    'REASON_ALLOW_SELF',
    'REASON_ALLOW_RELATED',
    'REASON_ALLOW_MAX',
    'REASON_DROP_POLICY',
    'REASON_DROP_PENDING',
    'REASON_DROP_SOURCE',
    'REASON_DROP_ARP',
    'REASON_DROP_NEIGHBOUR',
    'REASON_DROP_ROUTER',
    'REASON_DROP_VLAN',
    'REASON_DROP_ETHERTYPE',
    'REASON_DROP_MALFORMED',
    'REASON_DROP_FRAGMENT',
    'REASON_DROP_UNRELATED',
    'REASON_DROP_DESTINATION',
  ],
  identity: ['IDENTITY_WORLD'],
  port_protocol: ['PORTS_ANY', 'PORTS_OTHER'],
  copy: ['COPY_LEFT', 'COPY_RIGHT'],
  limits: [
    'SLOTS_MAX',
    'IFINDEX_ARRAY',
    'EXTENSION_HEADERS_MAX',
    'FLOW_SET_BITS',
    'FLOW4_WAYS',
    'FLOW6_WAYS',
    'TALLIES',
  ],
  endpoint_flag: ['ENDPOINT_HAS_IPV4', 'ENDPOINT_HAS_IPV6', 'ENDPOINT_HAS_LINK_LOCAL'],
  address_flag: ['ADDRESS_OWN_NODE'],
  hook: ['HOOK_FROM_POD', 'HOOK_TO_POD', 'HOOK_TO_NODE'],
  event_wanted: ['EVENTS_DROPS', 'EVENTS_ADMITTED'],
  loss: ['LOSS_EVENT', 'LOSS_LIMITED', 'LOSS_COUNTER', 'LOSS_FLOW', 'LOSS_FRAGMENT', 'LOSS_MAX'],
} as const;

/** Maps that exist as NAME_left and NAME_right. */
export const COPIED_MAPS = [
  'settings',
  'slots',
  'slots_beyond',
  'endpoints',
  'ipcache4',
  'ipcache6',
  'cidrs4',
  'cidrs6',
  'policy',
  'ports',
] as const;
export type CopiedMap = (typeof COPIED_MAPS)[number];

const SINGLE_MAPS = [
  'generation',
  'flow_seed',
  'flows4',
  'flows6',
  'fragments',
  'counters',
  'tallies',
  'events',
  'losses',
  'recent_identities4',
  'recent_identities6',
  'recent_rows',
] as const;
const PROGRAMS = ['from_pod', 'to_pod', 'to_node', 'to_node_l3'] as const;
export type ProgramName = (typeof PROGRAMS)[number];

export type StructName = keyof typeof STRUCTS;
type Fields<S extends StructName> = (typeof STRUCTS)[S][number];
type Enumerator = { [E in keyof typeof ENUMS]: (typeof ENUMS)[E][number] }[keyof typeof ENUMS];
export type ReasonName = Exclude<(typeof ENUMS)['reason'][number], 'REASON_ALLOW_MAX'>;
export type HookName = (typeof ENUMS)['hook'][number];

export interface Abi {
  readonly codecs: { readonly [S in StructName]: StructCodec<Fields<S>> };
  readonly numbers: { readonly [E in Enumerator]: number };
}

/** The object and this program do not mean the same by the same bytes; nothing was loaded. */
export class AbiMismatchError extends Error {
  readonly code = 'ABI_MISMATCH';
  readonly differences: readonly string[];
  constructor(differences: readonly string[]) {
    super(`the BPF object does not fit this program, build both from one checkout: ${differences.join('; ')}`);
    this.name = 'AbiMismatchError';
    this.differences = differences;
  }
}

/** What of an opened object is looked at. */
export interface AbiSource {
  readonly layout: Pick<Layout, 'structs' | 'enums'>;
  readonly maps: ReadonlyMap<string, Pick<MapSpec, 'name'>>;
  readonly programs: ReadonlyMap<string, unknown>;
}

/** @throws {AbiMismatchError} naming everything that is missing or more than expected */
export function checkAbi(object: AbiSource): Abi {
  const differences = [
    ...structDifferences(object.layout),
    ...enumDifferences(object.layout),
    ...nameDifferences('map', mapNames(), [...object.maps.keys()].filter(isOurMap)),
    ...nameDifferences('program', PROGRAMS, [...object.programs.keys()]),
  ];
  if (differences.length > 0) throw new AbiMismatchError(differences);
  return abiOf(object.layout);
}

/** The codecs and numbers of a layout that is known to fit. */
export function abiOf(layout: AbiSource['layout']): Abi {
  const codecs: Record<string, StructCodec> = {};
  for (const name of Object.keys(STRUCTS)) {
    const struct = layout.structs.get(name);
    if (struct !== undefined) codecs[name] = new StructCodec(struct);
  }
  const numbers: Record<string, number> = {};
  for (const name of Object.keys(ENUMS)) {
    for (const [enumerator, value] of layout.enums.get(name) ?? []) numbers[enumerator] = Number(value);
  }
  return { codecs, numbers } as unknown as Abi;
}

function mapNames(): string[] {
  return [...COPIED_MAPS.flatMap((name) => [`${name}_left`, `${name}_right`]), ...SINGLE_MAPS];
}

/** Not the sections of global variables. */
function isOurMap(name: string): boolean {
  return !name.startsWith('.');
}

function structDifferences(layout: AbiSource['layout']): string[] {
  return Object.entries(STRUCTS).flatMap(([name, fields]) => {
    const struct = layout.structs.get(name);
    if (struct === undefined) return [`no struct ${name}`];
    const members = struct.members.map((member) => member.name).filter((member) => member !== 'pad');
    return nameDifferences(`field of struct ${name}`, fields, members);
  });
}

function enumDifferences(layout: AbiSource['layout']): string[] {
  return Object.entries(ENUMS).flatMap(([name, enumerators]) => {
    const found = layout.enums.get(name);
    if (found === undefined) return [`no enum ${name}`];
    return nameDifferences(`name in enum ${name}`, enumerators, [...found.keys()]);
  });
}

function nameDifferences(what: string, expected: readonly string[], found: readonly string[]): string[] {
  return [
    ...expected.filter((name) => !found.includes(name)).map((name) => `no ${what} ${name}`),
    ...found.filter((name) => !expected.includes(name)).map((name) => `unknown ${what} ${name}`),
  ];
}
