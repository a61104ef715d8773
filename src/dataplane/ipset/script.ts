/** What one update has the programs do, as lines of their restore formats, in the order in which they are run. */

export interface Script {
  /** `ipset restore`: sets that come, since rules may name them. */
  readonly sets: string[];
  /** `iptables-restore --noflush`: chains that are written anew or go; declaring one empties it. */
  readonly declarations: string[];
  /** The same, after all declarations, since rules name chains that come later. */
  readonly rules: string[];
  /** `ipset restore`: members that come and members that go, at the latest with the flip. */
  readonly members: string[];
  /** `ipset restore`: sets that nothing refers to any more. */
  readonly removals: string[];
}

export function emptyScript(): Script {
  return { sets: [], declarations: [], rules: [], members: [], removals: [] };
}

/** How much there is to write. */
export function linesOf({ sets, members, rules }: Script): number {
  return sets.length + members.length + rules.length;
}

/** One table in the format of iptables-restore; empty when there is nothing to do. */
export function tableText({ declarations, rules }: Pick<Script, 'declarations' | 'rules'>): string {
  const lines = [...declarations.map((chain) => `:${chain} - [0:0]`), ...rules];
  return lines.length === 0 ? '' : ['*mangle', ...lines, 'COMMIT', ''].join('\n');
}
