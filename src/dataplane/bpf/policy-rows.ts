/**
 * Rulesets and identities -> rows of the `policy` map. A row stands only where a pair's ports differ from the ruleset's
 * rules for anyone, which are the row of the world. Rows are looked at again where an identity means something else, and
 * where a rule that its sets are admitted by came or went; all others stay.
 */
import type { CompiledRule, Ruleset, RulesetId } from '../../model/compiled.ts';
import type { Identity } from './identities.ts';
import type { PortContent, PortSet, PortSets } from './port-sets.ts';
import type { RuleRecord, RuleRecords } from './rule-records.ts';
import type { SetRecord } from './set-records.ts';
import type { Table } from './table.ts';
import { type Extent, type PolicyKey, policyKey } from './tables.ts';

/** A rule of one ruleset. */
interface RankedRule {
  readonly rule: CompiledRule;
  readonly record: RuleRecord;
  /** Where it stands in the ruleset: the first that admits gives its name to the verdict. */
  rank: number;
}

/** A ruleset in force and its rows. */
export interface RulesetRows {
  readonly number: number;
  ruleset: Ruleset;
  rules: readonly RankedRule[];
  /** The rules that admit a set, in any order. */
  readonly bySet: Map<SetRecord, RankedRule[]>;
  /** Those that admit anyone, in order. */
  anyone: readonly RankedRule[];
  world: PortSet | undefined;
  readonly rows: Map<Identity, PortSet>;
}

export interface PolicyRowsParts {
  readonly table: Table<PolicyKey, Extent>;
  readonly portSets: PortSets;
  readonly ruleRecords: RuleRecords;
  /** IDENTITY_WORLD */
  readonly world: number;
}

/** What rules admit together, by their ranks; lives only while one ruleset is compared with many identities. */
type Flattened = Map<string, PortContent>;

export class PolicyRows {
  readonly #parts: PolicyRowsParts;
  readonly #rulesets = new Map<RulesetId, RulesetRows>();

  constructor(parts: PolicyRowsParts) {
    this.#parts = parts;
  }

  get(id: RulesetId): RulesetRows | undefined {
    return this.#rulesets.get(id);
  }

  ids(): Iterable<RulesetId> {
    return this.#rulesets.keys();
  }

  /** The policies that isolate, by the ruleset's number. */
  *policies(): Generator<[ruleset: number, policies: Ruleset['policies']]> {
    for (const { number, ruleset } of this.#rulesets.values()) yield [number, ruleset.policies];
  }

  /** Puts a ruleset in or, if it is known, its rules as they are now: rows are looked at of whom a rule admits that came or went. */
  upsert(ruleset: Ruleset, number: number): RulesetRows {
    const known = this.#rulesets.get(ruleset.id);
    const rows = known ?? {
      number,
      ruleset,
      rules: [],
      bySet: new Map(),
      anyone: [],
      world: undefined,
      rows: new Map(),
    };
    this.#rulesets.set(ruleset.id, rows);
    const { came, gone } = this.#take(rows, ruleset);
    const changed = [...came, ...gone];
    const concerned = new Set<Identity>();
    if (changed.some(({ record }) => record.peers === 'anyone')) {
      rows.anyone = rows.rules.filter(({ record }) => record.peers === 'anyone');
      this.#putWorld(rows);
      for (const set of rows.bySet.keys()) for (const identity of set.identities) concerned.add(identity);
    }
    for (const { record } of changed) {
      for (const set of setsOf(record)) for (const identity of set.identities) concerned.add(identity);
    }
    const flattened: Flattened = new Map();
    for (const identity of concerned) this.#put(rows, identity, flattened);
    // After the new ones are taken: a rule that only became another object keeps its number.
    for (const { record } of gone) this.#parts.ruleRecords.release(record);
    return rows;
  }

  /** The holders of one ruleset now hold another: it takes over the number and the rows, which `upsert` then edits. */
  succeed(old: RulesetId, id: RulesetId): void {
    const rows = this.#rulesets.get(old);
    if (rows === undefined) return;
    this.#rulesets.delete(old);
    this.#rulesets.set(id, rows);
  }

  remove(id: RulesetId): void {
    const rows = this.#rulesets.get(id);
    if (rows === undefined) return;
    this.#rulesets.delete(id);
    for (const set of rows.bySet.keys()) set.rulesets.delete(rows);
    for (const [identity, ports] of rows.rows) this.#replace(rows, identity.number, ports, undefined);
    this.#replace(rows, this.#parts.world, rows.world, undefined);
    for (const { record } of rows.rules) this.#parts.ruleRecords.release(record);
  }

  /** Looks again at the rows of identities whose meaning changed, before rulesets do: each by the rules that its ruleset has yet. */
  refresh(meanings: ReadonlyMap<Identity, ReadonlySet<SetRecord>>): void {
    for (const [identity, sets] of meanings) {
      const concerned = new Set<RulesetRows>();
      for (const set of sets) for (const rows of set.rulesets) concerned.add(rows);
      for (const rows of concerned) this.#put(rows, identity);
    }
  }

  /** Writes every row again, after extents have moved. */
  rewrite(): void {
    for (const rows of this.#rulesets.values()) {
      if (rows.world !== undefined) this.#parts.table.set(policyKey(rows.number, this.#parts.world), rows.world.extent);
      for (const [identity, ports] of rows.rows) {
        this.#parts.table.set(policyKey(rows.number, identity.number), ports.extent);
      }
    }
  }

  /** Makes the ruleset's rules those of the rows, without looking at any row. @returns which are new, and which there are no more */
  #take(rows: RulesetRows, ruleset: Ruleset): { came: RankedRule[]; gone: RankedRule[] } {
    const before = new Map(rows.rules.map((ranked) => [ranked.rule, ranked]));
    const kept = new Set<RankedRule>();
    const came: RankedRule[] = [];
    let last = -1;
    const rules = ruleset.rules.map((rule) => {
      const known = before.get(rule);
      // One that has changed places with another is as good as new.
      if (known !== undefined && known.rank > last) {
        last = known.rank;
        kept.add(known);
        return known;
      }
      const fresh = { rule, record: this.#parts.ruleRecords.take(rule), rank: 0 };
      came.push(fresh);
      return fresh;
    });
    const gone = rows.rules.filter((ranked) => !kept.has(ranked));
    rules.forEach((ranked, rank) => {
      ranked.rank = rank;
    });
    rows.ruleset = ruleset;
    rows.rules = rules;
    unlink(rows, gone);
    link(rows, came);
    return { came, gone };
  }

  /** Sets the row of a pair or, where its ports are those for anyone, removes it. */
  #put(rows: RulesetRows, identity: Identity, flattened?: Flattened): void {
    const ports = this.#portsOf(rows, identity, flattened);
    const before = rows.rows.get(identity);
    if (ports === undefined || ports.ranges.length === 0 || ports.key === rows.world?.key) {
      rows.rows.delete(identity);
      this.#replace(rows, identity.number, before, undefined);
    } else {
      const after = this.#parts.portSets.take(ports);
      rows.rows.set(identity, after);
      this.#replace(rows, identity.number, before, after);
    }
  }

  #putWorld(rows: RulesetRows): void {
    const before = rows.world;
    const ports = this.#parts.ruleRecords.portsOf(rows.anyone.map(({ record }) => record));
    rows.world = ports.ranges.length === 0 ? undefined : this.#parts.portSets.take(ports);
    this.#replace(rows, this.#parts.world, before, rows.world);
  }

  #replace({ number }: RulesetRows, identity: number, before: PortSet | undefined, after: PortSet | undefined): void {
    const key = policyKey(number, identity);
    if (after !== undefined) this.#parts.table.set(key, after.extent);
    else if (before !== undefined) this.#parts.table.delete(key);
    if (before !== undefined) this.#parts.portSets.release(before);
  }

  /** What a pair's rules admit; undefined where that is nothing but what anyone may. */
  #portsOf(rows: RulesetRows, identity: Identity, flattened?: Flattened): PortContent | undefined {
    if (identity.holders === 0) return undefined;
    const rules: RankedRule[] = [];
    for (const set of identity.sets) for (const ranked of rows.bySet.get(set) ?? []) rules.push(ranked);
    if (rules.length === 0) return undefined;
    const { ruleRecords } = this.#parts;
    const [first] = rules;
    if (rules.length === 1 && rows.anyone.length === 0) return ruleRecords.portsOf([(first as RankedRule).record]);
    const inOrder = [...new Set([...rules, ...rows.anyone])].sort((a, b) => a.rank - b.rank);
    const key = inOrder.map(({ rank }) => rank).join();
    const ports = flattened?.get(key) ?? ruleRecords.portsOf(inOrder.map(({ record }) => record));
    flattened?.set(key, ports);
    return ports;
  }
}

function setsOf({ peers }: RuleRecord): readonly SetRecord[] {
  return peers === 'anyone' ? [] : peers;
}

function link(rows: RulesetRows, came: readonly RankedRule[]): void {
  for (const ranked of came) {
    for (const set of setsOf(ranked.record)) {
      const rules = rows.bySet.get(set);
      if (rules !== undefined) {
        rules.push(ranked);
        continue;
      }
      rows.bySet.set(set, [ranked]);
      set.rulesets.add(rows);
    }
  }
}

function unlink(rows: RulesetRows, list: readonly RankedRule[]): void {
  const gone = new Set(list);
  for (const set of new Set(list.flatMap(({ record }) => setsOf(record)))) {
    const rest = rows.bySet.get(set)?.filter((ranked) => !gone.has(ranked)) ?? [];
    if (rest.length > 0) {
      rows.bySet.set(set, rest);
      continue;
    }
    rows.bySet.delete(set);
    set.rulesets.delete(rows);
  }
}
