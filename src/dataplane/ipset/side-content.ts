/**
 * What one side holds in one family: sets, the dispatch's maps, chains. It follows the wanted state and writes down,
 * as a script, what changes. Nothing of it is read by any packet while it is written, so order does not matter for verdicts.
 */
import type { CompiledState, Ruleset, RulesetId } from '../../model/compiled.ts';
import type { Hint } from '../contract.ts';
import { type Chains, dispatchChains, endChains, lookupChains } from './dispatch.ts';
import { dispatchRole, rulesetEnd, sideChain, WAYS } from './names.ts';
import { type ChainRule, RulesetChains } from './ruleset-chain.ts';
import { emptyScript, type Script } from './script.ts';
import { type SetsOptions, SideSets, type Wanted } from './side-sets.ts';

export type { Wanted };

export interface SideOptions extends SetsOptions {
  readonly nflogGroup?: number;
}

/** What nobody comes to any more stays until there is so much of it, or a moment to spare: its counters are read before it goes. */
const MOST_RETIRED = 500;
/** With so many chains no moment is waited for. */
const TOO_MANY_RETIRED = 2_000;
const NO_NAMES: ReadonlySet<string> = new Set();

export class SideContent {
  readonly #options: SideOptions;
  readonly #sets: SideSets;
  readonly #chains: Chains = new Map();
  /** Names of each ruleset's chains; some are of several. */
  readonly #rulesets = new Map<RulesetId, ReadonlySet<string>>();
  /** How many rulesets have a chain. */
  readonly #holders = new Map<string, number>();
  readonly #retired = new Set<string>();
  #texts: RulesetChains;
  #begun = false;

  constructor(options: SideOptions) {
    this.#options = options;
    this.#sets = new SideSets(options);
    this.#texts = this.#newTexts();
  }

  /** By name, in order of their rules. */
  get chains(): ReadonlyMap<string, readonly ChainRule[]> {
    return this.#chains;
  }

  get chainsOfRulesets(): ReadonlyMap<RulesetId, ReadonlySet<string>> {
    return this.#rulesets;
  }

  get podsMet(): boolean {
    return this.#sets.podsMet;
  }

  /** Names of chains and sets that are there although nothing wants them. */
  get retired(): ReadonlySet<string> {
    return this.#retired.union(this.#sets.retired);
  }

  /** Whether it should be cleared away, when nothing waits for it. */
  get hasRetired(): boolean {
    return this.#sets.hasRetired || this.hasManyRetired;
  }

  get hasManyRetired(): boolean {
    return this.#retired.size > MOST_RETIRED;
  }

  /** Names of all sets with their numbers of members. */
  sizes(): Map<string, number> {
    return this.#sets.sizes();
  }

  /**
   * The hint says what may differ since this side was last updated.
   * @param clears what is retired, if there is reason to
   * @throws {CapacityError} then this side is lost
   */
  update(wanted: Wanted, hint: Hint, { clears = false } = {}): Script {
    const script = emptyScript();
    const known = this.#begun ? hint : undefined;
    if (!this.#begun) this.#begin(script);
    const met = this.#sets.meetPods(wanted.state, known?.addresses);
    if (met) this.#texts = this.#newTexts();
    const scope = met ? undefined : known;
    this.#sets.update(wanted, scope, script);
    const stale = this.#updateChains(wanted, scope?.rulesets, script);
    // One that a ruleset let go another may have come to hold in the same update.
    for (const name of stale) if (!this.#holders.has(name) && this.#chains.has(name)) this.#retired.add(name);
    if ((clears && this.hasRetired) || this.#retired.size > TOO_MANY_RETIRED) this.#clear(script);
    return script;
  }

  #begin(script: Script): void {
    const { side, family, field } = this.#options;
    // Both must exist before a chain may name them.
    this.#sets.begin(script);
    for (const [name, rules] of lookupChains(side, family, field)) this.#writeChain(name, rules, script);
    this.#begun = true;
  }

  #newTexts(): RulesetChains {
    const { side, family, nflogGroup } = this.#options;
    const podless = !this.#sets.podsMet;
    return new RulesetChains({ side, family, podless, ...(nflogGroup !== undefined && { nflogGroup }) });
  }

  /** @returns the names of those that nothing leads to any more */
  #updateChains({ state, numbers }: Wanted, changed: ReadonlySet<RulesetId> | undefined, script: Script): Set<string> {
    const { side, field } = this.#options;
    const stale = new Set<string>();
    for (const id of changed ?? new Set([...this.#rulesets.keys(), ...state.rulesets.keys()])) {
      this.#updateRuleset(id, state, stale, script);
    }
    for (const way of WAYS) {
      for (const direction of ['egress', 'ingress'] as const) {
        const held = [...state.rulesets.values()].filter((one) => one.direction === direction);
        const own = new Map(held.map(({ id }) => [id, numbers.get(id) as number]));
        const ending = new Map([...own].filter(([id]) => this.#rulesets.get(id)?.has(rulesetEnd(side, id, way))));
        const at = { side, direction, way };
        const chains = new Map([...dispatchChains(at, own, field), ...endChains(at, ending, field)]);
        const root = sideChain(side, dispatchRole(direction, way));
        for (const name of this.#chains.keys()) {
          const dispatches = name.startsWith(`${root}-`) || name.startsWith(`${root}END`);
          if (dispatches && !chains.has(name)) stale.add(name);
        }
        for (const [name, rules] of chains) this.#writeChain(name, rules, script);
      }
    }
    return stale;
  }

  #updateRuleset(id: RulesetId, state: CompiledState, stale: Set<string>, script: Script): void {
    const ruleset = state.rulesets.get(id);
    const before = this.#rulesets.get(id) ?? NO_NAMES;
    const after = new Set<string>();
    for (const way of ruleset === undefined ? [] : WAYS) {
      for (const [name, rules] of this.#texts.of(ruleset as Ruleset, state.sets, way)) {
        after.add(name);
        this.#writeChain(name, rules, script);
      }
    }
    for (const name of after) if (!before.has(name)) this.#holders.set(name, (this.#holders.get(name) ?? 0) + 1);
    for (const name of before) if (!after.has(name)) this.#letGo(name, stale);
    if (ruleset === undefined) this.#rulesets.delete(id);
    else this.#rulesets.set(id, after);
  }

  #letGo(name: string, stale: Set<string>): void {
    const others = (this.#holders.get(name) ?? 1) - 1;
    if (others > 0) this.#holders.set(name, others);
    else {
      this.#holders.delete(name);
      stale.add(name);
    }
  }

  #writeChain(name: string, rules: readonly ChainRule[], script: Script): void {
    this.#retired.delete(name);
    const known = this.#chains.get(name);
    if (known !== undefined && sameTexts(known, rules)) return;
    this.#chains.set(name, rules);
    script.declarations.push(name);
    for (const { text } of rules) script.rules.push(`-A ${name} ${text}`);
  }

  /** Emptied by their declaration; all of them before the first goes, because they refer to each other and to the sets. */
  #clear(script: Script): void {
    for (const name of this.#retired) this.#chains.delete(name);
    script.declarations.push(...this.#retired);
    script.rules.push(...[...this.#retired].map((name) => `-X ${name}`));
    this.#retired.clear();
    this.#sets.clear(script);
  }
}

function sameTexts(a: readonly ChainRule[], b: readonly ChainRule[]): boolean {
  return a === b || (a.length === b.length && a.every(({ text }, index) => text === b[index]?.text));
}
