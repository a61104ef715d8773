/** Plays scripts as ipset and iptables-restore would, and refuses what the kernel refuses: so what a side has written can be read back. */
import type { Script } from '../../../../src/dataplane/ipset/script.ts';

export class PlayedKernel {
  readonly chains = new Map<string, string[]>();
  /** With what is said of each member. */
  readonly sets = new Map<string, Map<string, string>>();

  play({ sets, declarations, rules, members, removals }: Script): void {
    for (const line of sets) this.#playSet(line);
    for (const chain of declarations) this.chains.set(chain, []);
    for (const line of rules) this.#playRule(line);
    this.#check();
    for (const line of [...members, ...removals]) this.#playSet(line);
  }

  #playRule(line: string): void {
    const [, verb = '', chain = '', rule = ''] = /^-([AX]) (\S+) ?(.*)$/.exec(line) ?? [];
    const known = this.chains.get(chain);
    if (known === undefined) throw new Error(`no chain: ${line}`);
    if (verb === 'A') known.push(rule);
    else if (verb !== 'X' || known.length > 0) throw new Error(`refused: ${line}`);
    else this.chains.delete(chain);
  }

  /** A table is taken in whole: what its rules name is there. */
  #check(): void {
    for (const [chain, rules] of this.chains) {
      for (const rule of rules) {
        const [, target] = / ?-[gj] (SELVEDGE-\S+)/.exec(rule) ?? [];
        const [, set] = /--(?:match-set|map-set) (\S+)/.exec(rule) ?? [];
        if (target !== undefined && !this.chains.has(target)) throw new Error(`${chain} leads to no chain: ${rule}`);
        if (set !== undefined && !this.sets.has(set)) throw new Error(`${chain} asks for no set: ${rule}`);
      }
    }
  }

  #playSet(line: string): void {
    const [, verb = '', name = '', rest = ''] = /^(\S+) (?:-exist )?(\S+) ?(.*)$/.exec(line) ?? [];
    if (verb === 'create') {
      if (this.sets.has(name)) throw new Error(`there already: ${line}`);
      this.sets.set(name, new Map());
      return;
    }
    const set = this.sets.get(name);
    const [member = '', ...more] = rest.split(' ');
    if (set === undefined) throw new Error(`no set: ${line}`);
    if (verb === 'add') {
      if (set.has(member) && !line.startsWith('add -exist')) throw new Error(`a member already: ${line}`);
      set.set(member, more.join(' '));
    } else if (verb === 'del') {
      if (!set.delete(member)) throw new Error(`no member: ${line}`);
    } else if (verb === 'flush') {
      set.clear();
    } else {
      for (const rules of this.chains.values()) {
        if (rules.some((rule) => rule.includes(`-set ${name} `))) throw new Error(`in use: ${line}`);
      }
      this.sets.delete(name);
    }
  }
}
