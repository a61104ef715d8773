/**
 * A ruleset -> the iptables rules of its chains in one family: one, or a tree where it has many rules. RETURN admits: the
 * chain is entered by `-g` from the dispatch, so the packet goes on behind the jump that led there. What comes to the end is
 * dropped.
 */
import { type Family, familyOf } from '../../model/address.ts';
import type { CompiledRule, CompiledState, IpSet, RuleRef, Ruleset } from '../../model/compiled.ts';
import { needsSet } from './block-members.ts';
import type { Counted } from './counters.ts';
import { LOGGED_BYTES } from './guard-text.ts';
import {
  dispatchRole,
  partChain,
  rulesetChain,
  rulesetEnd,
  rulesetName,
  type Side,
  setName,
  sideChain,
  type Way,
} from './names.ts';
import { portMatches } from './port-matches.ts';
import { type Admission, LEAF, portTree } from './port-tree.ts';

/** One iptables rule, without the `-A CHAIN` before it, and what its counter counts. */
export interface ChainRule {
  readonly text: string;
  readonly counts?: Counted;
}

export interface ChainOptions {
  readonly side: Side;
  readonly family: Family;
  readonly way: Way;
  /** Group to which dropped packets are copied; absent: none are. */
  readonly nflogGroup?: number;
}

/** By name; the first is the one that the dispatch leads to. */
export function rulesetChains(
  ruleset: Ruleset,
  sets: CompiledState['sets'],
  options: ChainOptions,
): ReadonlyMap<string, readonly ChainRule[]> {
  const { side, way } = options;
  const admissions = ruleset.rules.flatMap((rule) => admissionOf(rule, sets, options));
  const entry = rulesetChain(side, ruleset.id, way);
  const end = endOf(ruleset, options);
  if (admissions.length <= LEAF) {
    const rules = admissions.flatMap((one) => portMatches(one.ports, way).flatMap(one.rules));
    return new Map([[entry, [...rules, ...end]]]);
  }
  const role = `${dispatchRole(ruleset.direction, way)}END` as const;
  const plain = (text: string): ChainRule => ({ text });
  const nameOf = (rules: readonly ChainRule[]) => partChain(side, JSON.stringify(rules));
  const tree = portTree(admissions, { way, nameOf, plain, end: [plain(`-g ${sideChain(side, role)}`)] });
  return new Map([[entry, tree.root], ...tree.chains, [rulesetEnd(side, ruleset.id, way), end]]);
}

/** What becomes of a packet that no rule admits. */
export function endOf(
  { id, direction, policies }: EndedRuleset,
  { family, way, nflogGroup }: ChainOptions,
): ChainRule[] {
  const comment = commentOf(policies.join(' '));
  return [
    ...exemptions(family, way).map((match) => ({ text: `${match} -j RETURN` })),
    ...(nflogGroup === undefined
      ? []
      : [
          {
            text: `${LOG_LIMIT} -j NFLOG --nflog-group ${nflogGroup} --nflog-size ${LOGGED_BYTES} --nflog-prefix ${logPrefix({ id, direction }, way)}`,
            counts: { verdict: 'told' as const },
          },
        ]),
    { text: `${comment} -j DROP`, counts: { verdict: 'deny', direction, policies } },
  ];
}

type EndedRuleset = Pick<Ruleset, 'id' | 'direction' | 'policies'>;

/** Of a ruleset's drops: a flood of them costs no more than this. What is left out, the counters of both rules say. */
const LOG_LIMIT = '-m limit --limit 100/sec --limit-burst 100';

/** By which a drop is told from others: `DropDecoder` reads it. */
export function logPrefix({ id, direction }: Pick<Ruleset, 'id' | 'direction'>, way: Way): string {
  return `policy:${direction}:${way}:${rulesetName(id)}`;
}

/**
 * The port stands before the peers: it is the cheaper question, and spares most packets the look-ups.
 * A rule counts the requests that it admits. Nothing where no peer can have an address of this family.
 */
function admissionOf(rule: CompiledRule, sets: CompiledState['sets'], options: ChainOptions): Admission<ChainRule>[] {
  const { ref, ports } = rule;
  const peers = rule.peers === 'anyone' ? [''] : rule.peers.flatMap((id) => peerMatch(sets.get(id), ref, options));
  if (peers.length === 0) return [];
  const comment = commentOf(`${ref.policy} ${ref.direction} ${ref.index}`);
  const rules = (match: string) =>
    peers.map((peer): ChainRule => {
      const text = [match, peer, comment, '-j RETURN'].filter((part) => part !== '').join(' ');
      return options.way === 'reply' ? { text } : { text, counts: { verdict: 'allow', rule: ref } };
    });
  return [{ ports, rules }];
}

/** Nothing where the set can have no member of this family. */
function peerMatch(set: IpSet | undefined, { direction }: RuleRef, { side, family, way }: ChainOptions): string[] {
  if (set === undefined) return [];
  const [flag, option] = (direction === 'ingress') === (way === 'request') ? ['src', '-s'] : ['dst', '-d'];
  if (set.kind === 'ipBlock') {
    if (familyOf(set.cidr) !== family) return [];
    if (!needsSet(set)) return set.cidr.endsWith('/0') ? [''] : [`${option} ${set.cidr}`];
  }
  return [`-m set --match-set ${setName(side, family, set.id)} ${flag}`];
}

/**
 * What passes although no rule admits it. They stand behind the rules, since only what would be dropped needs them:
 * a pod reaches itself through a Service, ICMP errors of admitted connections pass in both directions (one about a reply
 * counts as of the original direction), and neighbours find each other.
 */
function exemptions(family: Family, way: Way): string[] {
  const self = `-m bpf --bytecode "${sameEndsProgram(family)}"`;
  if (way === 'reply') return [self];
  if (family === 4) return [self, '-p icmp -m conntrack --ctstate RELATED'];
  return [
    self,
    '-p ipv6-icmp -m conntrack --ctstate RELATED',
    ...[135, 136].map((type) => `-p ipv6-icmp --icmpv6-type ${type} -m hl --hl-eq 255`),
  ];
}

/** Classic BPF as `-m bpf` takes it, offsets from the IP header: whether source and destination are the same address. */
function sameEndsProgram(family: Family): string {
  const [source, destination, words] = family === 4 ? [12, 16, 1] : [8, 24, 4];
  const end = words * 4;
  const compare = Array.from({ length: words }, (_, word) => [
    `32 0 0 ${source + 4 * word}`,
    '7 0 0 0',
    `32 0 0 ${destination + 4 * word}`,
    `29 0 ${end - 4 * word - 3} 0`,
  ]);
  const program = [...compare.flat(), '6 0 0 1', '6 0 0 0'];
  return [program.length, ...program].join(',');
}

/** At most 255 bytes, and a policy's name may have more. Names hold neither quotes nor spaces. */
function commentOf(text: string): string {
  return `-m comment --comment "${text.length > 250 ? `${text.slice(0, 247)}...` : text}"`;
}
