/**
 * Whose interface may send what, as tables for nft. iptables sees neither ARP nor tagged frames, and its sets cannot
 * tell the ports of a bridge apart; nftables' bridge family can. Here a pod's interface is tied to the pod's addresses,
 * so that the rulesets may take a source address for the pod.
 */
import { type Address, addressBytes, covers, familyOf, type Prefix, parseAddress } from '../../model/address.ts';

export interface GuardedLink {
  readonly name: string;
  /** Port of a bridge; else packets are routed to and from it. */
  readonly bridged: boolean;
  /** `endpoint`: sends from its own addresses only. `strict`: and is under an ingress policy. `closed`: nothing passes. */
  readonly kind: 'endpoint' | 'strict' | 'closed';
  /** Those from which it may send. */
  readonly addresses: readonly Address[];
}

export const GUARD_TABLE = 'selvedge';

/** Of a dropped packet: enough for its addresses and ports. */
export const LOGGED_BYTES = 128;

/**
 * One transaction that replaces both tables, whatever was there. Without links there are none.
 * @param nflogGroup gets a copy of what is dropped, its prefix `guard:` and the word of the line
 */
export function guardText(links: readonly GuardedLink[], nflogGroup?: number): string {
  const bridged = links.filter((link) => link.bridged);
  const routed = links.filter((link) => !link.bridged);
  return [
    ...(['bridge', 'inet'] as const).flatMap((family) => removal(family)),
    ...(bridged.length === 0 ? [] : table('bridge', [...sets(bridged), ...withDrops(BRIDGED, nflogGroup)])),
    ...(routed.length === 0 ? [] : table('inet', [...sets(routed), ...withDrops(ROUTED, nflogGroup)])),
    '',
  ].join('\n');
}

/** Lines with a verdict in each table: a cheap sign that nobody flushed it. */
export function guardRuleCounts(links: readonly GuardedLink[]): Record<'bridge' | 'inet', number> {
  const count = (lines: readonly string[], some: boolean) => (some ? countRules(withDrops(lines).join('\n')) : 0);
  return {
    bridge: count(
      BRIDGED,
      links.some((link) => link.bridged),
    ),
    inet: count(
      ROUTED,
      links.some((link) => !link.bridged),
    ),
  };
}

/** In our own text and in what `nft list` prints. */
export function countRules(text: string): number {
  return text.match(/^.* (return|drop|jump \S+)$/gm)?.length ?? 0;
}

function withDrops(lines: readonly string[], nflogGroup?: number): string[] {
  return lines.flatMap((line) => {
    const [, match = '', word] = /^(.*)DROP\((.*)\)$/.exec(line) ?? [];
    if (word === undefined) return [line];
    const log = `limit rate 100/second burst 100 packets log prefix "guard:${word}" group ${nflogGroup} snaplen ${LOGGED_BYTES}`;
    return [...(nflogGroup === undefined ? [] : [`${match}${log}`]), `${match}counter drop`];
  });
}

/** What `nft list table` prints -> by interface, the addresses of the pod behind it. Link-local ones come from no pod's record. */
export function ownedAddresses(listed: string): ReadonlyMap<string, readonly Address[]> {
  const owned = new Map<string, Address[]>();
  for (const [, content = ''] of listed.matchAll(/^\tset owned[46] \{\n([\s\S]*?)^\t\}/gm)) {
    for (const [, name = '', text = ''] of content.matchAll(/"([^"]+)" \. ([0-9a-f.:]+)/g)) {
      const address = parseAddress(text);
      if (address === undefined || covers(LINK_LOCAL, address)) continue;
      owned.set(name, [...(owned.get(name) ?? []), address]);
    }
  }
  return owned;
}

/** Our own text, or what `nft list table` prints -> `bridge owned4 "veth1" . 10.0.0.1` for each element of each set. */
export function guardElements(text: string): ReadonlySet<string> {
  const elements = new Set<string>();
  for (const [, family, table = ''] of text.matchAll(/^table (\w+) \w+ \{\n([\s\S]*?)^\}/gm)) {
    for (const [, name, list = ''] of table.matchAll(/^\s+set (\w+) \{[^{}]*\{([^{}]*)\}/gm)) {
      for (const element of list.split(',')) elements.add(`${family} ${name} ${element.trim()}`);
    }
  }
  return elements;
}

/** Sets of names alone. Those of addresses are replaced whole: not every nft takes single elements for them. */
const NAMES: ReadonlySet<string> = new Set(['ports', 'strict', 'closed']);

/**
 * One transaction from one text of ours to another, in which only names come and go; undefined when more does. It takes a
 * fraction of what new tables take.
 */
export function guardChange(before: string, after: string): string | undefined {
  const rest = (text: string) => text.replaceAll(/elements = \{[^{}]*\} /g, '');
  if (rest(before) !== rest(after)) return undefined;
  const [old, wanted] = [guardElements(before), guardElements(after)];
  const [goes, comes] = [[...old.difference(wanted)], [...wanted.difference(old)]];
  if (![...goes, ...comes].every((element) => NAMES.has(element.split(' ')[1] ?? ''))) return undefined;
  const line = (verb: 'add' | 'delete') => (element: string) => {
    const [family, set, ...words] = element.split(' ');
    return `${verb} element ${family} ${GUARD_TABLE} ${set} { ${words.join(' ')} }`;
  };
  return [...goes.map(line('delete')), ...comes.map(line('add')), ''].join('\n');
}

const LINK_LOCAL = 'fe80::/10' as Prefix;

/** A table can only be deleted where there is one. */
function removal(family: 'bridge' | 'inet'): string[] {
  return [`table ${family} ${GUARD_TABLE} { }`, `delete table ${family} ${GUARD_TABLE}`];
}

function table(family: 'bridge' | 'inet', lines: readonly string[]): string[] {
  return [`table ${family} ${GUARD_TABLE} {`, ...lines.map((line) => `  ${line}`), '}'];
}

function sets(links: readonly GuardedLink[]): string[] {
  const named = (kinds: readonly GuardedLink['kind'][]) => {
    return links.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => quoted(name));
  };
  const owned = (family: 4 | 6, spelled: (address: Address) => string = (address) => address) =>
    links.flatMap(({ name, addresses }) => {
      return addresses
        .filter((address) => familyOf(address) === family)
        .map((address) => `${quoted(name)} . ${spelled(address)}`);
    });
  return [
    set('ports', 'type ifname', named(['endpoint', 'strict'])),
    set('strict', 'type ifname', named(['strict'])),
    set('closed', 'type ifname', named(['closed'])),
    set('owned4', 'type ifname . ipv4_addr', owned(4)),
    set('owned6', 'type ifname . ipv6_addr', owned(6)),
    // The same as numbers: nft before 1.0.8 has no name for the target of an advertisement.
    set('targets', 'typeof iifname . @th,64,128', owned(6, hex)),
  ];
}

const SOURCES = [
  'iifname . ip saddr @owned4 return',
  'icmpv6 type { nd-router-advert, nd-redirect } DROP(router)',
  'icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @targets DROP(neighbour)',
  'iifname . ip6 saddr @owned6 return',
  // Duplicate address detection, before an address is one's own.
  'ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld2-listener-report } return',
] as const;

/** DROP(word) counts, tells and drops. What no line lets through is dropped: other senders, tags of VLANs, and protocols that nobody here can judge. */
const BRIDGED = [
  'chain source {',
  // The frame's own type, also where the kernel keeps the tag beside the frame; `ip` below means what is inside.
  '  ether type { 8021q, 8021ad } DROP(vlan)',
  '  iifname . arp saddr ip @owned4 return',
  // Asking whether an address is taken.
  '  arp saddr ip 0.0.0.0 return',
  ...SOURCES.map((line) => `  ${line}`),
  '  DROP(source)',
  '}',
  // A frame from port to port whose destination is not the port's own address belongs to no ruleset.
  'chain stray {',
  '  ether type arp return',
  '  oifname . ip daddr @owned4 return',
  '  oifname . ip6 daddr @owned6 return',
  '  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } return',
  '  DROP(destination)',
  '}',
  // Before br_netfilter, and so before conntrack and iptables.
  'chain from_pods { type filter hook prerouting priority -350; policy accept;',
  '  iifname @closed DROP(pending:egress)',
  '  iifname @ports jump source',
  '}',
  'chain between_pods { type filter hook forward priority -350; policy accept;',
  '  oifname @strict jump stray',
  '}',
  'chain to_pods { type filter hook postrouting priority -350; policy accept;',
  '  oifname @closed DROP(pending:ingress)',
  '}',
];

/** Priority -350 is before connection tracking and before fragments are joined. */
const ROUTED = [
  'chain source {',
  ...SOURCES.map((line) => `  ${line}`),
  '  DROP(source)',
  '}',
  'chain from_pods { type filter hook prerouting priority -350; policy accept;',
  '  iifname @closed DROP(pending:egress)',
  '  iifname @ports jump source',
  '}',
  'chain to_pods { type filter hook postrouting priority -350; policy accept;',
  '  oifname @closed DROP(pending:ingress)',
  '}',
];

function set(name: string, type: string, elements: readonly string[]): string {
  return `set ${name} { ${type}; ${elements.length === 0 ? '' : `elements = { ${elements.join(', ')} } `}}`;
}

function quoted(name: string): string {
  return `"${name}"`;
}

function hex(address: Address): string {
  return `0x${Buffer.from(addressBytes(address)).toString('hex')}`;
}
