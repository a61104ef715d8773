/** A wanted state and what rules and sets of one family are in the kernel -> where they differ. */
import type { Family } from '../../model/address.ts';
import type { CompiledState, RulesetId } from '../../model/compiled.ts';
import type { Difference, Verification } from '../../model/observation.ts';
import { entryChains } from './foundation.ts';
import {
  CHAIN_PREFIX,
  generationSets,
  HOOKS,
  type Hook,
  rulesetChain,
  type Side,
  setName,
  sidePrefix,
} from './names.ts';
import { plainRule, savedChains, savedSets } from './rule-text.ts';
import { SideContent, type SideOptions, type Wanted } from './side-content.ts';

export interface Expected {
  readonly side: Side;
  readonly family: Family;
  readonly hooks: readonly Hook[];
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Chains and sets that may be there without being wanted. */
  readonly retired?: ReadonlySet<string>;
  /** What a chain or set of ours stands for, in the API objects' own names. */
  readonly meanings: ReadonlyMap<string, string>;
}

export interface Found {
  /** The mangle table in the format of iptables-save. */
  readonly rules: string;
  /** In the format of `ipset save`. */
  readonly sets: string;
}

export type Compared = Pick<Verification, 'compared' | 'differences'>;

/** Policies that a ruleset is told by. */
const MOST_NAMED = 10;

/** Key of a difference that is about a chain or a set as such. */
export const WHOLE = 'all of it';

/** What the side in force must hold, worked out from nothing but the state. @throws {CapacityError} */
export function expectedOf(wanted: Wanted, options: SideOptions & Pick<Expected, 'hooks'>): Expected {
  const { side, family, hooks } = options;
  const content = new SideContent(options);
  const script = content.update(wanted, undefined);
  const chains = new Map<string, readonly string[]>(entryChains(family, hooks));
  for (const [name, rules] of content.chains)
    chains.set(
      name,
      rules.map(({ text }) => text),
    );
  const meanings = meaningsOf(wanted.state, content.chainsOfRulesets, options);
  return { side, family, hooks, chains, sets: savedSets([...script.sets, ...script.members]), meanings };
}

export function differencesOf(expected: Expected, found: Found): Compared {
  const there = savedChains(found.rules, (chain) => isOfSide(chain, expected) || chain in HOOKS);
  const sets = savedSets(found.sets.split('\n'));
  const differences = [
    ...generationDifferences(expected, sets),
    ...expected.hooks.flatMap((hook) => hookDifferences(hook, there.get(hook) ?? [], expected)),
    ...[...expected.chains].flatMap(([chain, rules]) => chainDifferences(chain, rules, there.get(chain), expected)),
    ...[...expected.sets].flatMap(([name, members]) => setDifferences(name, members, sets.get(name), expected)),
    ...leftovers(expected, there.keys(), sets.keys()),
  ];
  let compared = expected.hooks.length;
  for (const rules of expected.chains.values()) compared += rules.length;
  for (const members of expected.sets.values()) compared += members.size;
  return { compared, differences };
}

/** Not those of the side that no packet comes to. */
function isOfSide(chain: string, { side }: Pick<Expected, 'side'>): boolean {
  return chain.startsWith(`${CHAIN_PREFIX}${side}-`) || Object.values<string>(HOOKS).includes(chain);
}

function meaningsOf(
  { rulesets, sets }: CompiledState,
  chains: ReadonlyMap<RulesetId, ReadonlySet<string>>,
  { side, family }: SideOptions,
): Map<string, string> {
  const meanings = new Map<string, string>();
  for (const { id, direction, policies } of rulesets.values()) {
    const more = policies.length > MOST_NAMED ? ` and ${policies.length - MOST_NAMED} more` : '';
    const names = `${policies.slice(0, MOST_NAMED).join(', ')}${more}`;
    for (const chain of chains.get(id) ?? []) meanings.set(chain, `${names} (${direction})`);
    meanings.set(rulesetChain(side, id, 'reply'), `${names} (${direction}, replies)`);
  }
  for (const id of sets.keys()) meanings.set(setName(side, family, id), id);
  return meanings;
}

function placeOf(kind: 'chain' | 'set', name: string, { meanings, family }: Expected): string {
  const meaning = meanings.get(name);
  return `IPv${family} ${kind} ${name}${meaning === undefined ? '' : `: ${meaning}`}`;
}

function generationDifferences(
  { side, family }: Expected,
  sets: ReadonlyMap<string, ReadonlyMap<string, string>>,
): Difference[] {
  const { inForce, spare } = generationSets(family);
  return [inForce, spare].flatMap((name) => {
    const wanted = (name === inForce) === (side === 'R') ? 2 : 0;
    const found = sets.get(name)?.size;
    if (found === wanted) return [];
    const is = found === undefined ? {} : { found: `${found} members` };
    return [{ place: `IPv${family} set ${name}`, key: 'which side is in force', wanted: `${wanted} members`, ...is }];
  });
}

function hookDifferences(hook: Hook, rules: readonly string[], expected: Expected): Difference[] {
  const jump = `-j ${HOOKS[hook]}`;
  return rules.includes(jump) ? [] : [{ place: placeOf('chain', hook, expected), key: 'jump', wanted: jump }];
}

function chainDifferences(
  chain: string,
  wanted: readonly string[],
  found: readonly string[] | undefined,
  expected: Expected,
): Difference[] {
  const place = placeOf('chain', chain, expected);
  if (found === undefined) return [{ place, key: WHOLE, wanted: `${wanted.length} rules` }];
  const differences: Difference[] = [];
  for (let at = 0; at < Math.max(wanted.length, found.length); at++) {
    const [one, other] = [wanted[at], found[at]];
    if (one !== undefined && other !== undefined && plainRule(one) === plainRule(other)) continue;
    const key = `rule ${at + 1}`;
    differences.push({
      place,
      key,
      ...(one !== undefined && { wanted: one }),
      ...(other !== undefined && { found: other }),
    });
  }
  return differences;
}

function setDifferences(
  name: string,
  wanted: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, string> | undefined,
  expected: Expected,
): Difference[] {
  const place = placeOf('set', name, expected);
  if (found === undefined) return [{ place, key: WHOLE, wanted: `${wanted.size} members` }];
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((member) => {
    const [one, other] = [wanted.get(member), found.get(member)];
    if (one === other) return [];
    return [
      {
        place,
        key: member,
        ...(one !== undefined && { wanted: one === '' ? 'member' : one }),
        ...(other !== undefined && { found: other === '' ? 'member' : other }),
      },
    ];
  });
}

function* leftovers(expected: Expected, chains: Iterable<string>, sets: Iterable<string>): Generator<Difference> {
  for (const chain of chains) {
    if (chain in HOOKS || expected.chains.has(chain) || expected.retired?.has(chain)) continue;
    yield { place: placeOf('chain', chain, expected), key: WHOLE, found: 'there' };
  }
  for (const name of sets) {
    if (!name.startsWith(sidePrefix(expected.side, expected.family)) || expected.sets.has(name)) continue;
    if (expected.retired?.has(name)) continue;
    yield { place: placeOf('set', name, expected), key: WHOLE, found: 'there' };
  }
}
