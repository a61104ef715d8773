/**
 * Rulesets and identities -> rows of the `policy` map. A row stands only where a pair's ports differ from the ruleset's
 * rules for anyone, which are the row of the world. Rows are looked at again where an identity means something else, and
 * where a rule that its sets are admitted by came or went; all others stay.
 */
import type { Ruleset, RulesetId } from '../../model/compiled.ts';
import type { Identity } from './identities.ts';
import type { PortContent, PortSet, PortSets } from './port-sets.ts';
import { type RuleRecord, type RuleRecords, setsOf } from './rule-records.ts';
import type { SetRecord } from './set-records.ts';
import type { Table } from './table.ts';
import { type Extent, type PolicyKey, policyKey } from './tables.ts';

/** A ruleset in force and its rows. */
export interface RulesetRows {
  readonly number: number;
  ruleset: Ruleset;
  /** Its rules, each with where it stands: the first that admits gives its name to the verdict. In order. */
  ranks: ReadonlyMap<RuleRecord, number>;
  /** How many sets they admit, all together. */
  reach: number;
  /** Those that admit anyone, in order. */
  anyone: readonly RuleRecord[];
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
    const rows = this.#rulesets.get(ruleset.id) ?? rowless(ruleset, number);
    this.#rulesets.set(ruleset.id, rows);
    const before = rows.ranks;
    const changed = this.#take(rows, ruleset);
    const concerned = new Set<Identity>();
    const look = (record: RuleRecord): void => {
      for (const set of setsOf(record)) for (const identity of set.identities) concerned.add(identity);
    };
    for (const record of changed) look(record);
    if (changed.some(({ peers }) => peers === 'anyone')) {
      rows.anyone = [...rows.ranks.keys()].filter(({ peers }) => peers === 'anyone');
      this.#putWorld(rows);
      for (const record of rows.ranks.keys()) look(record);
    }
    const flattened: Flattened = new Map();
    for (const identity of concerned) this.#put(rows, identity, flattened);
    // After the new ones were taken: a rule that stays, or only became another object, keeps its number.
    for (const record of before.keys()) this.#parts.ruleRecords.release(record);
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
    for (const record of rows.ranks.keys()) for (const set of setsOf(record)) set.rulesets.delete(rows);
    for (const [identity, ports] of rows.rows) this.#replace(rows, identity.number, ports, undefined);
    this.#replace(rows, this.#parts.world, rows.world, undefined);
    for (const record of rows.ranks.keys()) this.#parts.ruleRecords.release(record);
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

  /**
   * Makes the ruleset's rules those of the rows, without looking at any row.
   * @returns those that came, went, or changed places with another
   */
  #take(rows: RulesetRows, ruleset: Ruleset): RuleRecord[] {
    const before = rows.ranks;
    const ranks = new Map<RuleRecord, number>();
    for (const rule of new Set(ruleset.rules)) ranks.set(this.#parts.ruleRecords.take(rule), ranks.size);
    rows.ruleset = ruleset;
    rows.ranks = ranks;
    rows.reach = 0;
    for (const record of ranks.keys()) rows.reach += setsOf(record).length;
    const changed: RuleRecord[] = [];
    let last = -1;
    for (const record of ranks.keys()) {
      const rank = before.get(record) ?? -1;
      if (rank > last) last = rank;
      else changed.push(record);
      if (rank < 0) for (const set of setsOf(record)) set.rulesets.add(rows);
    }
    const lost = new Set<SetRecord>();
    for (const record of before.keys()) {
      if (ranks.has(record)) continue;
      changed.push(record);
      for (const set of setsOf(record)) lost.add(set);
    }
    for (const set of lost) if (admitting(rows, [set]).length === 0) set.rulesets.delete(rows);
    return changed;
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
    const ports = this.#parts.ruleRecords.portsOf(rows.anyone);
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
    const { ruleRecords } = this.#parts;
    const { ranks, anyone } = rows;
    const records = admitting(rows, identity.sets);
    if (records.length === 0) return undefined;
    if (records.length === 1 && anyone.length === 0) return ruleRecords.portsOf(records);
    const rankOf = (record: RuleRecord): number => ranks.get(record) as number;
    const inOrder = [...records, ...anyone].sort((a, b) => rankOf(a) - rankOf(b));
    const key = inOrder.map(rankOf).join();
    const ports = flattened?.get(key) ?? ruleRecords.portsOf(inOrder);
    flattened?.set(key, ports);
    return ports;
  }
}

function rowless(ruleset: Ruleset, number: number): RulesetRows {
  return { number, ruleset, ranks: new Map(), reach: 0, anyone: [], world: undefined, rows: new Map() };
}

/** The ruleset's rules that admit any of the sets, each once. They are found from whichever side there is less to look at. */
function admitting({ ranks, reach }: RulesetRows, sets: readonly SetRecord[]): RuleRecord[] {
  let rules = 0;
  for (const set of sets) rules += set.rules.size;
  if (rules > reach) {
    const any = new Set(sets);
    return [...ranks.keys()].filter((record) => setsOf(record).some((set) => any.has(set)));
  }
  const found: RuleRecord[] = [];
  for (const set of sets) for (const record of set.rules) if (ranks.has(record)) found.push(record);
  return sets.length === 1 ? found : [...new Set(found)];
}
