/**
 * A rule of a ruleset -> the iptables rules that admit what it admits, in one family. What a rule has come to is kept for
 * as long as its policy is, since a ruleset that comes mostly has the rules of one that was there before.
 */
import { type Family, familyOf } from '../../model/address.ts';
import type { CompiledRule, CompiledState, IpSet, PortRange, RuleRef } from '../../model/compiled.ts';
import { needsSet } from './block-members.ts';
import type { Counted } from './counters.ts';
import { type Side, setName, type Way } from './names.ts';
import type { Admission } from './port-tree.ts';

/** One iptables rule, without the `-A CHAIN` before it, and what its counter counts. */
export interface ChainRule {
  readonly text: string;
  readonly counts?: Counted;
}

export interface AdmissionOptions {
  readonly side: Side;
  readonly family: Family;
  /** No set of pods has a member of this family, so rules that ask for one are left out; absent: some may. */
  readonly podless?: boolean;
}

/** What a rule was, and the very sets that were there. */
interface Kept {
  readonly rule: CompiledRule;
  readonly sets: readonly (IpSet | undefined)[];
  readonly admission: Admission<ChainRule> | undefined;
}

/** Rules of one policy's rule: named ports make several of one. */
const MOST_KEPT = 8;

export class Admissions {
  readonly #options: AdmissionOptions & { readonly way: Way };
  readonly #kept = new WeakMap<RuleRef, Kept[]>();
  #numbers = 0;

  constructor(options: AdmissionOptions & { readonly way: Way }) {
    this.#options = options;
  }

  /** The very same for the same rule; undefined where no peer can have an address of this family. */
  of(rule: CompiledRule, sets: CompiledState['sets']): Admission<ChainRule> | undefined {
    const kept = this.#kept.get(rule.ref) ?? [];
    const known = kept.find((one) => sameRule(one.rule, rule) && sameSets(one.sets, rule, sets));
    if (known !== undefined) return known.admission;
    const admission = this.#make(rule, sets);
    kept.push({ rule, sets: setsOf(rule, sets), admission });
    if (kept.length > MOST_KEPT) kept.shift();
    this.#kept.set(rule.ref, kept);
    return admission;
  }

  /**
   * The port stands before the peers: it is the cheaper question, and spares most packets the look-ups.
   * A rule counts the requests that it admits.
   */
  #make({ ref, ports, peers }: CompiledRule, sets: CompiledState['sets']): Admission<ChainRule> | undefined {
    const matches = peers === 'anyone' ? [''] : peers.flatMap((id) => peerMatch(sets.get(id), ref, this.#options));
    if (matches.length === 0) return undefined;
    // Only who reads a count asks whose it is; the kernel takes most of its time for comments when it takes in a whole table.
    const isCounted = this.#options.way === 'request';
    const comment = isCounted ? commentOf(`${ref.policy} ${ref.direction} ${ref.index}`) : '';
    const counts = isCounted && { counts: { verdict: 'allow', rule: ref } as const };
    const byPorts = new Map<string, readonly ChainRule[]>();
    const rules = (match: string) => {
      const made =
        byPorts.get(match) ??
        matches.map((peer): ChainRule => {
          return { text: [match, peer, comment, '-j RETURN'].filter((part) => part !== '').join(' '), ...counts };
        });
      byPorts.set(match, made);
      return made;
    };
    return { number: ++this.#numbers, ports, rules };
  }
}

/** Nothing where the set can have no member of this family. */
function peerMatch(
  set: IpSet | undefined,
  { direction }: RuleRef,
  { side, family, way, podless }: AdmissionOptions & { readonly way: Way },
): string[] {
  if (set === undefined) return [];
  const [flag, option] = (direction === 'ingress') === (way === 'request') ? ['src', '-s'] : ['dst', '-d'];
  if (set.kind === 'ipBlock') {
    if (familyOf(set.cidr) !== family) return [];
    if (!needsSet(set)) return set.cidr.endsWith('/0') ? [''] : [`${option} ${set.cidr}`];
  } else if (podless) {
    return [];
  }
  return [`-m set --match-set ${setName(side, family, set.id)} ${flag}`];
}

/** At most 255 bytes, and a policy's name may have more. Names hold neither quotes nor spaces. */
export function commentOf(text: string): string {
  return `-m comment --comment "${text.length > 250 ? `${text.slice(0, 247)}...` : text}"`;
}

/** By what they say: named ports and their peers are looked up anew for each ruleset. */
function sameRule(a: CompiledRule, b: CompiledRule): boolean {
  return sameList(a.peers, b.peers, Object.is) && sameList(a.ports, b.ports, sameRange);
}

function sameRange(a: PortRange, b: PortRange): boolean {
  return a.protocol === b.protocol && a.from === b.from && a.to === b.to;
}

function sameList<T>(a: readonly T[] | string, b: readonly T[] | string, same: (a: T, b: T) => boolean): boolean {
  if (a === b) return true;
  if (typeof a === 'string' || typeof b === 'string' || a.length !== b.length) return false;
  return a.every((one, index) => same(one, b[index] as T));
}

/** A set that came, went or came back is another. */
function sameSets(known: Kept['sets'], { peers }: CompiledRule, sets: CompiledState['sets']): boolean {
  return peers === 'anyone' || peers.every((id, index) => sets.get(id) === known[index]);
}

function setsOf({ peers }: CompiledRule, sets: CompiledState['sets']): Kept['sets'] {
  return peers === 'anyone' ? [] : peers.map((id) => sets.get(id));
}
