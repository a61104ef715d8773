/** The programs of one node that read and write its rules and sets, in the variant of iptables that the node uses. */
import { readFileSync } from 'node:fs';
import { run } from '../../child-process.ts';
import type { Family } from '../../model/address.ts';
import type { MapFill } from '../../model/observation.ts';

export type Variant = 'nft' | 'legacy';

export interface ProgramsOptions {
  readonly variant: Variant;
  /** Starts what it is given where the rules are to be, in a network namespace say; here when absent. */
  readonly within?: Within;
  /** Other files in place of `iptables-nft-restore` and so on. */
  readonly paths?: Readonly<Record<string, string>>;
}

export type Within = <T>(start: () => T) => T;

/** Seconds for which another holder of the xtables lock is waited for; only the legacy variant has one. */
const LOCK_SECONDS = 30;

/**
 * `iptables-nft-restore -v` repeats comments as it comes to them, and this one stands behind COMMIT: the rules are in force
 * then, and the program only waits until the kernel has let go of old ones (a grace period, 8-40 ms). It is longer than what
 * the C library holds back of its output. Where it does not come, the end says the same.
 */
const IN_FORCE = '# selvedge: rules are in force';
const SAYS_IN_FORCE = `${IN_FORCE} ${'.'.repeat(8_192)}\n`;

export class Programs {
  readonly variant: Variant;
  readonly #within: Within;
  readonly #paths: Readonly<Record<string, string>>;

  constructor({ variant, within, paths }: ProgramsOptions) {
    this.variant = variant;
    this.#within = within ?? ((start) => start());
    this.#paths = paths ?? {};
  }

  /** Runs something synchronous where the programs run. */
  within<T>(start: () => T): T {
    return this.#within(start);
  }

  /**
   * All or nothing of each table; an empty text runs nothing.
   * @param soon as soon as they are in force: sets that only old rules named may be in use for a while
   * @throws {CommandError}
   */
  async restoreRules(family: Family, text: string, { soon = false } = {}): Promise<void> {
    if (text === '') return;
    const args = ['--noflush', '-w', `${LOCK_SECONDS}`];
    const name = this.#iptables(family, 'restore');
    if (soon && this.variant === 'nft') await this.#run(name, [...args, '-v'], text + SAYS_IN_FORCE, IN_FORCE);
    else await this.#run(name, args, text);
  }

  /** The mangle table in the format of iptables-save. */
  saveRules(family: Family, options: { readonly counters: boolean } = { counters: false }): Promise<string> {
    return this.#run(this.#iptables(family, 'save'), ['-t', 'mangle', ...(options.counters ? ['-c'] : [])]);
  }

  /** Whether there can be rules of this variant; asking iptables-legacy itself would make the tables that it is asked for. */
  get isUsed(): boolean {
    return this.variant === 'nft' || this.#within(hasLegacyTables);
  }

  /** All tables that there are. */
  saveAllRules(family: Family): Promise<string> {
    return this.#run(this.#iptables(family, 'save'), []);
  }

  /** One chain of the mangle table with its counters: cheap also where the table is large. */
  listChain(family: Family, chain: string): Promise<string> {
    return this.#run(this.#iptables(family), ['-w', `${LOCK_SECONDS}`, '-t', 'mangle', '-v', '-S', chain]);
  }

  /** Line by line: what stands before one that fails has happened. @throws {CommandError} */
  async restoreSets(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.#run('ipset', ['restore'], `${lines.join('\n')}\n`);
  }

  /** Every set with its number of members. */
  async listSets(): Promise<ReadonlyMap<string, number>> {
    const text = await this.#run('ipset', ['list', '-terse']);
    const found = text.matchAll(/^Name: (\S+)$[\s\S]*?^Number of entries: (\d+)$/gm);
    return new Map([...found].map(([, name = '', entries]) => [name, Number(entries)]));
  }

  async fillOfSets(): Promise<MapFill[]> {
    const text = await this.#run('ipset', ['list', '-terse']);
    const found = text.matchAll(/^Name: (\S+)$[\s\S]*?\bmaxelem (\d+)[\s\S]*?^Number of entries: (\d+)$/gm);
    return [...found].map(([, name = '', capacity, entries]) => {
      return { name, entries: Number(entries), capacity: Number(capacity) };
    });
  }

  /** Every set with its members, in the format of `ipset restore`. */
  saveSets(): Promise<string> {
    return this.#run('ipset', ['save']);
  }

  /** One transaction. @throws {CommandError} */
  async nft(text: string): Promise<string> {
    return this.#run('nft', ['-f', '-'], text);
  }

  /** The listing of a table; empty when there is none. */
  async listTable(family: 'bridge' | 'inet', name: string): Promise<string> {
    const tables = await this.#run('nft', ['list', 'tables']);
    return tables.includes(`table ${family} ${name}\n`) ? this.#run('nft', ['list', 'table', family, name]) : '';
  }

  #iptables(family: Family, action?: 'save' | 'restore'): string {
    const name = `${family === 4 ? 'iptables' : 'ip6tables'}-${this.variant}`;
    return action === undefined ? name : `${name}-${action}`;
  }

  #run(name: string, args: readonly string[], input?: string, until?: string): Promise<string> {
    const options = { ...(input !== undefined && { input }), ...(until !== undefined && { until }) };
    // The promise is wrapped: `within` may give back only what is not one.
    return this.#within(() => ({ output: run(this.#paths[name] ?? name, args, options) })).output;
  }
}

/** The kernel lists them for each network namespace. */
function hasLegacyTables(): boolean {
  return ['ip', 'ip6'].some((family) => {
    try {
      return readFileSync(`/proc/thread-self/net/${family}_tables_names`, 'utf8').trim() !== '';
    } catch {
      return false;
    }
  });
}
