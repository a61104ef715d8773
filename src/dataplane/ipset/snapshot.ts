/** What of ours is in the kernel in one family: read at the start, after a failure, and to see whether somebody touched it. */
import type { Family } from '../../model/address.ts';
import { CHAIN_PREFIX, generationSets, HOOKS, type Hook, mapName, SET_PREFIX, type Side, sidePrefix } from './names.ts';
import type { Programs } from './programs.ts';

const DIRECTIONS = ['egress', 'ingress'] as const;

export interface Snapshot {
  /** Our chains with their numbers of rules. */
  readonly chains: ReadonlyMap<string, number>;
  /** Built-in chains that jump to ours, each with how often. */
  readonly hooks: ReadonlyMap<Hook, number>;
  /** Built-in chains in which a rule of others stands before our jump that may keep packets from it, by accepting them. */
  readonly overtaken: ReadonlySet<Hook>;
  /** Our sets with their numbers of members, of both families. */
  readonly sets: ReadonlyMap<string, number>;
  /** Undefined when the generation's sets are not as we leave them. */
  readonly inForce: Side | undefined;
}

export async function takeSnapshot(programs: Programs, family: Family): Promise<Snapshot> {
  const [rules, sets] = await Promise.all([programs.saveRules(family), programs.listSets()]);
  const ours = new Map([...sets].filter(([name]) => name.startsWith(SET_PREFIX)));
  return { ...parseRules(rules), sets: ours, inForce: sideInForce(ours, family) };
}

/** Whether there is a set of pods, in what `ipset save` prints: those of blocks are of another kind. */
export function holdsPods(sets: string, side: Side, family: Family): boolean {
  const names = DIRECTIONS.map((direction) => mapName(side, family, direction));
  const found = sets.matchAll(/^create (\S+) hash:ip /gm);
  return found.some(([, name = '']) => name.startsWith(sidePrefix(side, family)) && !names.includes(name));
}

export function parseRules(text: string): Pick<Snapshot, 'chains' | 'hooks' | 'overtaken'> {
  const rules = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const declared = /^:(\S+) /.exec(line)?.[1];
    if (declared !== undefined) rules.set(declared, []);
    const [, chain = '', rule = ''] = /^(?:\[\S+\] )?-A (\S+) (.*)$/.exec(line) ?? [];
    rules.get(chain)?.push(rule);
  }
  const chains = new Map<string, number>();
  const hooks = new Map<Hook, number>();
  const overtaken = new Set<Hook>();
  for (const [chain, own] of rules) {
    if (chain.startsWith(CHAIN_PREFIX)) chains.set(chain, own.length);
    if (!isHook(chain)) continue;
    const jump = `-j ${HOOKS[chain]}`;
    const times = own.filter((rule) => rule === jump).length;
    if (times === 0) continue;
    hooks.set(chain, times);
    if (own.slice(0, own.indexOf(jump)).some((rule) => mayAccept(rule, rules))) overtaken.add(chain);
  }
  return { chains, hooks, overtaken };
}

/** Whether packets that the rule matches may never come to the rules behind it, and yet pass. */
function mayAccept(
  rule: string,
  chains: ReadonlyMap<string, readonly string[]>,
  seen: readonly string[] = [],
): boolean {
  const [, way = '', target = ''] = / ?(-[jg]) (\S+)/.exec(rule) ?? [];
  if (target === 'ACCEPT' || target === 'NFQUEUE' || way === '-g') return true;
  if (seen.includes(target)) return false;
  return (chains.get(target) ?? []).some((inner) => mayAccept(inner, chains, [...seen, target]));
}

function isHook(chain: string): chain is Hook {
  return Object.hasOwn(HOOKS, chain);
}

/** One of the two sets is full, by two halves of the family; the other is empty. */
function sideInForce(sets: ReadonlyMap<string, number>, family: Family): Side | undefined {
  const { inForce, spare } = generationSets(family);
  const full = `${sets.get(inForce)} ${sets.get(spare)}`;
  if (full === '0 2') return 'L';
  return full === '2 0' ? 'R' : undefined;
}
