/** An ipBlock -> what stands for it: a prefix in the rule itself, or the members of a hash:net set with `nomatch` for its excepts. */
import { covers, familyOf, type Prefix } from '../../model/address.ts';
import type { IpSet } from '../../model/compiled.ts';

export type BlockSet = IpSet & { readonly kind: 'ipBlock' };

export interface NetMember {
  readonly prefix: string;
  /** Addresses in it are not in the set, unless a longer prefix says so. */
  readonly nomatch: boolean;
}

/** Whether a comparison in the rule says it all, which costs a fraction of a look-up. */
export function needsSet({ except }: BlockSet): boolean {
  return except.length > 0;
}

/**
 * The longest matching member decides. hash:net cannot hold a prefix of length 0, so the whole family is written
 * as its two halves, and so is an except.
 */
export function blockMembers({ cidr, except }: BlockSet): readonly NetMember[] {
  if (except.some((hole) => covers(hole, cidr))) return [];
  const members = new Map<string, NetMember>(halves(cidr).map((prefix) => [prefix, { prefix, nomatch: false }]));
  for (const hole of except.filter((prefix) => covers(cidr, prefix))) {
    members.set(hole, { prefix: hole, nomatch: true });
  }
  return [...members.values()];
}

/** Every address of the family in a hash:net set. */
export function halves(prefix: Prefix): readonly string[] {
  if (!prefix.endsWith('/0')) return [prefix];
  return familyOf(prefix) === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
}
