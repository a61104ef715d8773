/**
 * What one side holds in one family: sets, the dispatch's maps, chains. It follows the wanted state and writes down,
 * as a script, what changes. Nothing of it is read by any packet while it is written, so order does not matter for verdicts.
 */
import { type Address, type Family, familyOf } from '../../model/address.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { CompiledState, IpSet, Ruleset, RulesetId, SetId } from '../../model/compiled.ts';
import { CapacityError, type Hint } from '../contract.ts';
import { blockMembers, needsSet } from './block-members.ts';
import { type Chains, dispatchChains, endChains, lookupChains } from './dispatch.ts';
import { type MarkField, markText } from './mark-field.ts';
import { dispatchRole, mapName, rulesetEnd, type Side, setName, sideChain, WAYS } from './names.ts';
import { type ChainRule, rulesetChains } from './ruleset-chain.ts';
import { emptyScript, type Script } from './script.ts';

export interface Wanted {
  readonly state: CompiledState;
  /** Of every ruleset. */
  readonly numbers: ReadonlyMap<RulesetId, number>;
  /** Addresses beside those of the pods' records, by pod. */
  readonly linkLocal: ReadonlyMap<ObjectKey, readonly Address[]>;
}

export interface SideOptions {
  readonly side: Side;
  readonly family: Family;
  readonly field: MarkField;
  readonly nflogGroup?: number;
}

/** Only a limit: the kernel's tables grow with what is in them. */
const MOST_MEMBERS = 4_194_304;
/** Chains that no packet comes to any more stay until there are so many: to read their counters takes longer than to write. */
const MOST_RETIRED = 500;
const NO_SETS: ReadonlySet<SetId> = new Set();
const NO_NAMES: ReadonlySet<string> = new Set();

export class SideContent {
  readonly #options: SideOptions;
  readonly #sets = new Map<SetId, { readonly set: IpSet; members: number }>();
  /** The state's own objects: it never changes one in place. */
  readonly #memberships = new Map<Address, ReadonlySet<SetId>>();
  readonly #maps: Record<Direction, Map<Address, number>> = { ingress: new Map(), egress: new Map() };
  readonly #chains: Chains = new Map();
  /** Names of each ruleset's chains; some are of several. */
  readonly #rulesets = new Map<RulesetId, ReadonlySet<string>>();
  /** How many rulesets have a chain. */
  readonly #holders = new Map<string, number>();
  readonly #retired = new Set<string>();
  #begun = false;

  constructor(options: SideOptions) {
    this.#options = options;
  }

  /** By name, in order of their rules. */
  get chains(): ReadonlyMap<string, readonly ChainRule[]> {
    return this.#chains;
  }

  get chainsOfRulesets(): ReadonlyMap<RulesetId, ReadonlySet<string>> {
    return this.#rulesets;
  }

  /** Of `chains` those that are there for their counters alone. */
  get retired(): ReadonlySet<string> {
    return this.#retired;
  }

  /** Names of all sets with their numbers of members. */
  sizes(): Map<string, number> {
    const { side, family } = this.#options;
    const sizes = new Map([...this.#sets].map(([id, { members }]) => [setName(side, family, id), members]));
    for (const direction of ['ingress', 'egress'] as const) {
      sizes.set(mapName(side, family, direction), this.#maps[direction].size);
    }
    return sizes;
  }

  /** The hint says what may differ since this side was last updated. @throws {CapacityError} then this side is lost */
  update(wanted: Wanted, hint: Hint): Script {
    const script = emptyScript();
    const whole = this.#begun ? hint : undefined;
    if (!this.#begun) this.#begin(script);
    const gone = this.#updateSets(wanted.state, whole?.sets, script);
    this.#updateMembers(wanted.state, whole?.addresses, script);
    for (const direction of ['egress', 'ingress'] as const) this.#updateMap(direction, wanted, script);
    const stale = this.#updateChains(wanted, whole?.rulesets, script);
    // A set that goes may be named by any of them.
    this.#retire(stale, gone.length > 0, script);
    for (const name of gone) script.removals.push(`destroy ${name}`);
    return script;
  }

  #begin(script: Script): void {
    const { side, family, field } = this.#options;
    for (const direction of ['egress', 'ingress'] as const) {
      script.members.push(`create ${mapName(side, family, direction)} hash:ip ${this.#shape()} skbinfo`);
    }
    // Both must exist before a chain may name them.
    for (const [name, rules] of lookupChains(side, family, field)) this.#writeChain(name, rules, script);
    this.#begun = true;
  }

  /** @returns the names of those that went */
  #updateSets(state: CompiledState, changed: ReadonlySet<SetId> | undefined, script: Script): string[] {
    const { side, family } = this.#options;
    const gone: string[] = [];
    for (const id of changed ?? new Set([...this.#sets.keys(), ...state.sets.keys()])) {
      const set = state.sets.get(id);
      const has = this.#sets.has(id);
      if (set === undefined && has) {
        this.#sets.delete(id);
        gone.push(setName(side, family, id));
      } else if (set !== undefined && !has && this.#isHeld(set)) {
        this.#create(set, script);
      }
    }
    return gone;
  }

  #isHeld(set: IpSet): boolean {
    return set.kind !== 'ipBlock' || (familyOf(set.cidr) === this.#options.family && needsSet(set));
  }

  #create(set: IpSet, script: Script): void {
    const name = setName(this.#options.side, this.#options.family, set.id);
    const type = set.kind === 'ipBlock' ? 'hash:net' : 'hash:ip';
    script.members.push(`create ${name} ${type} ${this.#shape()}`);
    const members = set.kind === 'ipBlock' ? blockMembers(set) : [];
    for (const { prefix, nomatch } of members) script.members.push(`add ${name} ${prefix}${nomatch ? ' nomatch' : ''}`);
    this.#sets.set(set.id, { set, members: members.length });
  }

  #updateMembers(state: CompiledState, changed: ReadonlySet<Address> | undefined, script: Script): void {
    for (const address of changed ?? new Set([...this.#memberships.keys(), ...state.memberships.keys()])) {
      if (familyOf(address) !== this.#options.family) continue;
      const before = this.#memberships.get(address) ?? NO_SETS;
      const after = state.memberships.get(address) ?? NO_SETS;
      if (before === after) continue;
      for (const id of after) if (!before.has(id)) this.#changeMember('add', id, address, script);
      for (const id of before) if (!after.has(id)) this.#changeMember('del', id, address, script);
      if (after.size === 0) this.#memberships.delete(address);
      else this.#memberships.set(address, after);
    }
  }

  /** A set that went takes its members along. */
  #changeMember(change: 'add' | 'del', id: SetId, address: Address, script: Script): void {
    const known = this.#sets.get(id);
    if (known === undefined) return;
    known.members += change === 'add' ? 1 : -1;
    if (known.members > MOST_MEMBERS) throw new CapacityError(`set ${id}`, known.members, MOST_MEMBERS);
    script.members.push(`${change} ${setName(this.#options.side, this.#options.family, id)} ${address}`);
  }

  /** Local pods are few, so they are compared whole. */
  #updateMap(direction: Direction, { state, numbers, linkLocal }: Wanted, script: Script): void {
    const { side, family, field } = this.#options;
    const name = mapName(side, family, direction);
    const known = this.#maps[direction];
    const wanted = new Map<Address, number>();
    for (const endpoint of state.endpoints.values()) {
      const id = endpoint[direction];
      if (id === undefined) continue;
      for (const address of [...endpoint.addresses, ...(linkLocal.get(endpoint.pod) ?? [])]) {
        if (familyOf(address) === family) wanted.set(address, numbers.get(id) as number);
      }
    }
    for (const address of known.keys()) if (!wanted.has(address)) script.members.push(`del ${name} ${address}`);
    for (const [address, number] of wanted) {
      if (known.get(address) === number) continue;
      script.members.push(`add -exist ${name} ${address} skbmark ${markText(field, number)}`);
    }
    this.#maps[direction] = wanted;
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
      for (const [name, rules] of rulesetChains(ruleset as Ruleset, state.sets, { ...this.#options, way })) {
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

  /** Emptied by their declaration; all of them before the first goes, because they refer to each other. */
  #retire(names: ReadonlySet<string>, now: boolean, script: Script): void {
    // One that a ruleset let go another may have come to hold in the same update.
    for (const name of names) if (!this.#holders.has(name) && this.#chains.has(name)) this.#retired.add(name);
    if (!now && this.#retired.size <= MOST_RETIRED) return;
    for (const name of this.#retired) this.#chains.delete(name);
    script.declarations.push(...this.#retired);
    script.rules.push(...[...this.#retired].map((name) => `-X ${name}`));
    this.#retired.clear();
  }

  #shape(): string {
    return `family ${this.#options.family === 4 ? 'inet' : 'inet6'} hashsize 64 maxelem ${MOST_MEMBERS}`;
  }
}

function sameTexts(a: readonly ChainRule[], b: readonly ChainRule[]): boolean {
  return a.length === b.length && a.every(({ text }, index) => text === b[index]?.text);
}
