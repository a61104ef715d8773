/** A rule as we write it, or as `iptables-save` prints it -> one text for both, where they mean the same. */

/** What a protocol brings along; printed though nobody wrote it. */
const IMPLIED: ReadonlySet<string> = new Set(['-m tcp', '-m udp', '-m sctp', '-m icmp', '-m icmp6']);

/** @param rule without the `-A CHAIN` before it */
export function plainRule(rule: string): string {
  const options: string[] = [];
  for (const [token] of rule.matchAll(/"[^"]*"|\S+/g)) {
    const text = token.replace(/^"(.*)"$/, '$1');
    // A `!` belongs to the option behind it.
    if (options.length === 0 || (text.startsWith('-') && options.at(-1) !== '!')) options.push(text);
    else if (text === '!') options.push(text);
    else options.push(`${options.pop()} ${text}`);
  }
  return options
    .filter((option) => !IMPLIED.has(option))
    .sort()
    .join(' ');
}

/** Rules of our chains, by chain, in their order and as they are printed. */
export function savedChains(text: string, isOurs: (chain: string) => boolean): Map<string, string[]> {
  const chains = new Map<string, string[]>();
  for (const [, chain = ''] of text.matchAll(/^:(\S+) /gm)) if (isOurs(chain)) chains.set(chain, []);
  for (const [, chain = '', rule = ''] of text.matchAll(/^-A (\S+) (.*)$/gm)) chains.get(chain)?.push(rule.trim());
  return chains;
}

/** `add SET MEMBER ...` lines, by set: of each member what is said of it. Sets without members are there too. */
export function savedSets(lines: Iterable<string>): Map<string, Map<string, string>> {
  const sets = new Map<string, Map<string, string>>();
  for (const line of lines) {
    const [, verb = '', name = '', rest = ''] = /^(create|add) (?:-exist )?(\S+) ?(.*)$/.exec(line) ?? [];
    if (verb === 'create') sets.set(name, new Map());
    const [, member = '', more = ''] = /^(\S+) ?(.*)$/.exec(rest) ?? [];
    if (verb === 'add') sets.get(name)?.set(member, more);
  }
  return sets;
}
