/** What of ours is in the kernel in one family: read at the start, after a failure, and to see whether somebody touched it. */
import type { Family } from '../../model/address.ts';
import { CHAIN_PREFIX, generationSets, HOOKS, type Hook, SET_PREFIX, type Side } from './names.ts';
import type { Programs } from './programs.ts';

export interface Snapshot {
  /** Our chains with their numbers of rules. */
  readonly chains: ReadonlyMap<string, number>;
  /** Built-in chains that jump to ours, each with how often. */
  readonly hooks: ReadonlyMap<Hook, number>;
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

export function parseRules(text: string): Pick<Snapshot, 'chains' | 'hooks'> {
  const chains = new Map<string, number>();
  const hooks = new Map<Hook, number>();
  for (const line of text.split('\n')) {
    const declared = /^:(\S+) /.exec(line)?.[1];
    if (declared?.startsWith(CHAIN_PREFIX)) chains.set(declared, 0);
    const [, chain, rule] = /^(?:\[\S+\] )?-A (\S+) (.*)$/.exec(line) ?? [];
    if (chain === undefined) continue;
    const count = chains.get(chain);
    if (count !== undefined) chains.set(chain, count + 1);
    else if (isHook(chain) && rule === `-j ${HOOKS[chain]}`) hooks.set(chain, (hooks.get(chain) ?? 0) + 1);
  }
  return { chains, hooks };
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
