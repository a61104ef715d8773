/**
 * The rules and sets of one family on both sides. An update is written to the idle side alone, as three steps: sets,
 * rules, members and the flip. Whatever fails before the flip leaves the side in force whole, and the idle one is built anew next time.
 */
import type { Family } from '../../model/address.ts';
import type { Hint } from '../contract.ts';
import { CountSums, type PacketCount, parseChainCounters, parseCounters, type RuleCount } from './counters.ts';
import { entryChains, flipLine, foundationScript, generationLines } from './foundation.ts';
import { joinHints, NOTHING } from './hints.ts';
import { type Hook, otherSide, SIDES, type Side } from './names.ts';
import type { Programs } from './programs.ts';
import type { ChainRule } from './ruleset-chain.ts';
import { type Script, tableText } from './script.ts';
import { settledAll } from './settled-all.ts';
import { SideContent, type SideOptions, type Wanted } from './side-content.ts';
import { takeSnapshot } from './snapshot.ts';
import { type Compared, differencesOf, expectedOf } from './verify.ts';

/** So many chains are read one by one, 5-8 ms each; the whole table takes 30-55 ms with 3,600 rules. */
const READ_ALONE = 6;
/** As many members are written with the flip, by one program less; more of them while it is not yet waited for. */
const FEW_MEMBERS = 100;

export interface FamilyOptions extends Omit<SideOptions, 'side' | 'family'> {
  readonly family: Family;
  readonly hooks: readonly Hook[];
  readonly programs: Programs;
}

interface Known {
  readonly content: SideContent;
  /** What may differ from the wanted state since it was written. */
  behind: Hint;
}

export interface Draft {
  readonly side: Side;
  readonly content: SideContent;
  readonly chainsBefore: ReadonlyMap<string, readonly ChainRule[]>;
  readonly script: Script;
}

/** Lines for `ipset restore`. */
export interface Written {
  /** Before it is put in force: what was left for then. */
  readonly members: readonly string[];
  /** Puts it in force. */
  readonly flip: string;
  /** Afterwards. */
  readonly removals: readonly string[];
}

export class FamilyRules {
  readonly family: Family;
  readonly #options: FamilyOptions;
  readonly #harvested = new CountSums();
  #sides: Partial<Record<Side, Known>> = {};
  /** Absent: to be asked of the kernel. */
  #inForce: Side | undefined;

  constructor(options: FamilyOptions) {
    this.family = options.family;
    this.#options = options;
  }

  /** Something may differ from what the sides hold. */
  miss(hint: Hint): void {
    for (const known of Object.values(this.#sides)) known.behind = joinHints(known.behind, hint);
  }

  /** Nothing is taken for granted any more: the next update asks the kernel and builds the idle side anew. */
  forget(): void {
    this.#sides = {};
    this.#inForce = undefined;
  }

  /** Sees to it that there is an idle side of which it is known what it holds. */
  async ready(): Promise<void> {
    const side = await this.#idleSide();
    this.#sides[side] ??= { content: this.#newContent(side), behind: undefined };
  }

  /** Whether there is so much that nobody comes to any more, on the idle side, that it should be cleared away at once. */
  get isOvergrown(): boolean {
    return this.#sides[otherSide(this.#inForce as Side)]?.content.hasManyRetired ?? false;
  }

  /** What brings the idle side to the wanted state. Blocking, so that a state that changes meanwhile cannot be seen half. */
  draft(wanted: Wanted, options: { readonly clears?: boolean } = {}): Draft {
    const side = otherSide(this.#inForce as Side);
    const { content, behind } = this.#sides[side] as Known;
    const chainsBefore = new Map(content.chains);
    // Unknown until the update has ended well.
    delete this.#sides[side];
    return { content, chainsBefore, script: content.update(wanted, behind, options), side };
  }

  /** Writes everything but the flip, and a few members. */
  async write({ content, chainsBefore, script, side }: Draft): Promise<Written> {
    const { programs } = this.#options;
    const { sets, members, removals } = script;
    const isFew = members.length <= FEW_MEMBERS;
    const first = isFew ? sets : [...sets, ...members];
    await settledAll([programs.restoreSets(first), this.#harvest(chainsBefore, script.declarations)]);
    await programs.restoreRules(this.family, tableText(script), { soon: removals.length === 0 });
    this.#sides[side] = { content, behind: NOTHING };
    return { members: isFew ? members : [], flip: flipLine(this.family), removals };
  }

  /** The flip happened. */
  flipped(): void {
    this.#inForce = otherSide(this.#inForce as Side);
  }

  /** What in the kernel is not as it was left: somebody else's doing. Empty before the first update. */
  async damages(): Promise<string[]> {
    if (this.#inForce === undefined) return [];
    const { programs, hooks } = this.#options;
    const { inForce } = this;
    const snapshot = await takeSnapshot(programs, this.family);
    const damages: string[] = [];
    if (snapshot.inForce !== inForce) damages.push('the sets that say which side is in force');
    for (const hook of hooks) if (!snapshot.hooks.has(hook)) damages.push(`the jump in ${hook}`);
    for (const hook of snapshot.overtaken) damages.push(`the place of the jump in ${hook}`);
    const chains = new Map([...entryChains(this.family, hooks)].map(([name, rules]) => [name, rules.length]));
    const sets = new Map<string, number>();
    for (const { content } of Object.values(this.#sides)) {
      for (const [name, rules] of content.chains) chains.set(name, rules.length);
      for (const [name, size] of content.sizes()) sets.set(name, size);
    }
    for (const [name, rules] of chains) if (snapshot.chains.get(name) !== rules) damages.push(`chain ${name}`);
    for (const [name, size] of sets) if (snapshot.sets.get(name) !== size) damages.push(`set ${name}`);
    return damages;
  }

  /** All that is in force against the wanted state, which is read before anything is waited for. */
  async verify(wanted: Wanted): Promise<Compared> {
    const { programs, hooks, field, nflogGroup } = this.#options;
    const contentOf = (side: Side) => this.#sides[side]?.content;
    // After a failure nobody here knows which side it is: then the kernel says so.
    const expected = (side: Side) => {
      return expectedOf(wanted, {
        side,
        family: this.family,
        hooks,
        field,
        podsMet: contentOf(side)?.podsMet ?? false,
        ...(nflogGroup !== undefined && { nflogGroup }),
      });
    };
    const known = this.#inForce === undefined ? undefined : expected(this.#inForce);
    const [rules, sets] = await Promise.all([programs.saveRules(this.family), programs.saveSets()]);
    const side = known === undefined ? ((await takeSnapshot(programs, this.family)).inForce ?? 'L') : known.side;
    const retired = contentOf(side)?.retired;
    return differencesOf({ ...(known ?? expected(side)), ...(retired && { retired }) }, { rules, sets });
  }

  get inForce(): Side | undefined {
    return this.#inForce;
  }

  async counts(): Promise<RuleCount[]> {
    const sums = new CountSums();
    sums.addAll(this.#harvested.values());
    const read = parseCounters(await this.#options.programs.saveRules(this.family, { counters: true }));
    for (const { content } of Object.values(this.#sides)) {
      for (const [name, rules] of content.chains) sums.add(rules, read.get(name) ?? []);
    }
    return sums.values();
  }

  #newContent(side: Side): SideContent {
    const { family, field, nflogGroup } = this.#options;
    return new SideContent({ side, family, field, ...(nflogGroup !== undefined && { nflogGroup }) });
  }

  /** The side that no packet reads; emptied when it is not known what it holds. */
  async #idleSide(): Promise<Side> {
    if (this.#inForce !== undefined) {
      const idle = otherSide(this.#inForce);
      if (this.#sides[idle] !== undefined) return idle;
    }
    const { programs, hooks } = this.#options;
    const snapshot = await takeSnapshot(programs, this.family);
    const inForce = snapshot.inForce ?? 'L';
    const idle = otherSide(inForce);
    await programs.restoreSets(generationLines(this.family, snapshot));
    const script = foundationScript(this.family, idle, hooks, snapshot);
    await programs.restoreRules(this.family, tableText(script));
    await programs.restoreSets(script.removals);
    this.#inForce = inForce;
    for (const side of SIDES) if (snapshot.inForce === undefined || side === idle) delete this.#sides[side];
    return idle;
  }

  /** A chain that is written anew counts from zero. Nothing is counted meanwhile: no packet comes to this side. */
  async #harvest(chains: ReadonlyMap<string, readonly ChainRule[]>, rewritten: readonly string[]): Promise<void> {
    const counting = rewritten.filter((name) => chains.get(name)?.some(({ counts }) => counts !== undefined));
    if (counting.length === 0) return;
    const read = await this.#readCounters(counting);
    for (const name of counting) this.#harvested.add(chains.get(name) ?? [], read.get(name) ?? []);
  }

  async #readCounters(chains: readonly string[]): Promise<ReadonlyMap<string, readonly PacketCount[]>> {
    const { programs } = this.#options;
    if (chains.length > READ_ALONE) return parseCounters(await programs.saveRules(this.family, { counters: true }));
    const texts = chains.map(async (name) => {
      return [name, parseChainCounters(await programs.listChain(this.family, name))] as const;
    });
    return new Map(await Promise.all(texts));
  }
}
