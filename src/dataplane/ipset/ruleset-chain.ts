/**
 * A ruleset -> the iptables rules of its chains in one family: one, or a tree where it has many rules. RETURN admits: the
 * chain is entered by `-g` from the dispatch, so the packet goes on behind the jump that led there. What comes to the end is
 * dropped.
 */
import type { Family } from '../../model/address.ts';
import type { Direction } from '../../model/cluster.ts';
import type { CompiledState, Ruleset } from '../../model/compiled.ts';
import { type AdmissionOptions, Admissions, type ChainRule, commentOf } from './admissions.ts';
import { LOGGED_BYTES } from './guard-text.ts';
import { dispatchRole, partChain, rulesetChain, rulesetEnd, rulesetName, sideChain, WAYS, type Way } from './names.ts';
import { portMatches } from './port-matches.ts';
import { LEAF, PortTrees } from './port-tree.ts';

export type { ChainRule };

export interface RulesetOptions extends AdmissionOptions {
  /** Group to which dropped packets are copied; absent: none are. */
  readonly nflogGroup?: number;
}

export interface ChainOptions extends RulesetOptions {
  readonly way: Way;
}

type ChainsByName = ReadonlyMap<string, readonly ChainRule[]>;

/** Of all rulesets on one side: what they have in common with earlier ones is not worked out again. */
export class RulesetChains {
  readonly #options: RulesetOptions;
  readonly #admissions: Readonly<Record<Way, Admissions>>;
  readonly #trees = new Map<string, PortTrees<ChainRule>>();

  constructor(options: RulesetOptions) {
    this.#options = options;
    const [request, reply] = WAYS.map((way) => new Admissions({ ...options, way })) as [Admissions, Admissions];
    this.#admissions = { request, reply };
  }

  /** By name; the first is the one that the dispatch leads to. */
  of(ruleset: Ruleset, sets: CompiledState['sets'], way: Way): ChainsByName {
    const { side } = this.#options;
    const admissions = ruleset.rules.flatMap((rule) => this.#admissions[way].of(rule, sets) ?? []);
    const entry = rulesetChain(side, ruleset.id, way);
    const end = endOf(ruleset, { ...this.#options, way });
    if (admissions.length <= LEAF) {
      const rules = admissions.flatMap((one) => portMatches(one.ports, way).flatMap(one.rules));
      return new Map([[entry, [...rules, ...end]]]);
    }
    const tree = this.#treesOf(ruleset.direction, way).of(admissions);
    return new Map([[entry, tree.root], ...tree.chains, [rulesetEnd(side, ruleset.id, way), end]]);
  }

  #treesOf(direction: Direction, way: Way): PortTrees<ChainRule> {
    const role = `${dispatchRole(direction, way)}END` as const;
    const known = this.#trees.get(role);
    if (known !== undefined) return known;
    const { side } = this.#options;
    const plain = (text: string): ChainRule => ({ text });
    const nameOf = (rules: readonly ChainRule[]) => partChain(side, JSON.stringify(rules));
    const trees = new PortTrees({ way, nameOf, plain, end: [plain(`-g ${sideChain(side, role)}`)] });
    this.#trees.set(role, trees);
    return trees;
  }
}

/** The same of a single one, from nothing. */
export function rulesetChains(
  ruleset: Ruleset,
  sets: CompiledState['sets'],
  { way, ...options }: ChainOptions,
): ChainsByName {
  return new RulesetChains(options).of(ruleset, sets, way);
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
