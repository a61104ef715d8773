/**
 * Rulesets and identities -> rows of the `policy` map. A row stands only where a pair's ports differ from the ruleset's
 * rules for anyone, which are the row of the world.
 */
import type { CompiledRule, Ruleset, RulesetId } from '../../model/compiled.ts';
import { flattenPorts, type NumberedRule, type PortProtocols } from './flatten-ports.ts';
import type { Identity } from './identities.ts';
import type { PortSet, PortSets } from './port-sets.ts';
import type { RuleNumbers } from './rule-numbers.ts';
import type { SetRecord, SetRecords } from './set-records.ts';
import type { Table } from './table.ts';
import { type Extent, type PolicyKey, policyKey } from './tables.ts';

/** A ruleset in force and its rows. */
export interface RulesetRows {
  readonly number: number;
  ruleset: Ruleset;
  rules: readonly NumberedRule[];
  /** Indexes of the rules that admit a set, ascending; and of those that admit anyone. */
  bySet: ReadonlyMap<SetRecord, readonly number[]>;
  anyone: readonly number[];
  world: PortSet | undefined;
  readonly rows: Map<Identity, PortSet>;
}

/** Port sets by the rules that they come from; lives only while one ruleset is compared with many identities. */
type Flattened = Map<string, PortSet>;

export interface PolicyRowsParts {
  readonly table: Table<PolicyKey, Extent>;
  readonly portSets: PortSets;
  readonly ruleNumbers: RuleNumbers;
  readonly setRecords: SetRecords;
  readonly protocols: PortProtocols;
  /** IDENTITY_WORLD */
  readonly world: number;
}

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

  /** Puts a ruleset in, or its rules anew if it is known: all its rows are looked at. */
  upsert(ruleset: Ruleset, number: number): RulesetRows {
    let rows = this.#rulesets.get(ruleset.id);
    const before = rows;
    const beforeRules = rows?.ruleset.rules ?? [];
    if (rows === undefined) {
      rows = { number, ruleset, rules: [], bySet: new Map(), anyone: [], world: undefined, rows: new Map() };
      this.#rulesets.set(ruleset.id, rows);
    }
    if (before !== undefined) for (const set of before.bySet.keys()) set.rulesets.delete(before);
    this.#index(rows, ruleset);
    // After the new ones are taken: a rule that stays keeps its number.
    for (const { ref } of beforeRules) this.#parts.ruleNumbers.release(ref);
    this.#refreshAll(rows);
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
    for (const identity of [...rows.rows.keys()]) this.#put(rows, identity, undefined);
    this.#putWorld(rows, undefined);
    for (const { ref } of rows.ruleset.rules) this.#parts.ruleNumbers.release(ref);
  }

  /** Looks again at the rows of identities whose meaning changed. */
  refresh(meanings: ReadonlyMap<Identity, ReadonlySet<SetRecord>>): void {
    for (const [identity, sets] of meanings) {
      const concerned = new Set<RulesetRows>();
      for (const set of sets) for (const rows of set.rulesets) concerned.add(rows);
      for (const rows of concerned) this.#put(rows, identity, this.#portsOf(rows, identity));
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

  #index(rows: RulesetRows, ruleset: Ruleset): void {
    const bySet = new Map<SetRecord, number[]>();
    const anyone: number[] = [];
    for (const [index, { peers }] of ruleset.rules.entries()) {
      if (peers === 'anyone') {
        anyone.push(index);
        continue;
      }
      for (const id of peers) {
        const record = this.#parts.setRecords.of(id);
        const indexes = bySet.get(record);
        if (indexes === undefined) bySet.set(record, [index]);
        else indexes.push(index);
      }
    }
    for (const record of bySet.keys()) record.rulesets.add(rows);
    rows.ruleset = ruleset;
    rows.rules = ruleset.rules.map((rule: CompiledRule) => ({
      number: this.#parts.ruleNumbers.take(rule.ref),
      ports: rule.ports,
    }));
    rows.bySet = bySet;
    rows.anyone = anyone;
  }

  #refreshAll(rows: RulesetRows): void {
    this.#putWorld(rows, this.#take(rows, rows.anyone));
    const concerned = new Set<Identity>();
    for (const set of rows.bySet.keys()) for (const identity of set.identities) concerned.add(identity);
    for (const identity of [...rows.rows.keys()]) if (!concerned.has(identity)) this.#put(rows, identity, undefined);
    const flattened: Flattened = new Map();
    for (const identity of concerned) this.#put(rows, identity, this.#portsOf(rows, identity, flattened));
    for (const ports of flattened.values()) this.#parts.portSets.release(ports);
  }

  /** The ports of a pair, taken; undefined where they are those for anyone. */
  #portsOf(rows: RulesetRows, identity: Identity, flattened?: Flattened): PortSet | undefined {
    if (identity.holders === 0) return undefined;
    const indexes: number[] = [];
    for (const set of identity.sets) for (const index of rows.bySet.get(set) ?? []) indexes.push(index);
    if (indexes.length === 0) return undefined;
    for (const index of rows.anyone) indexes.push(index);
    const ascending = [...new Set(indexes)].sort((a, b) => a - b);
    const ports = flattened === undefined ? this.#take(rows, ascending) : this.#takeOnce(rows, ascending, flattened);
    if (ports === undefined || ports !== rows.world) return ports;
    this.#parts.portSets.release(ports);
    return undefined;
  }

  #takeOnce(rows: RulesetRows, indexes: readonly number[], flattened: Flattened): PortSet | undefined {
    const key = indexes.join();
    const known = flattened.get(key);
    if (known !== undefined) return this.#parts.portSets.take(known.ranges);
    const ports = this.#take(rows, indexes);
    if (ports !== undefined) flattened.set(key, this.#parts.portSets.take(ports.ranges));
    return ports;
  }

  #take(rows: RulesetRows, indexes: readonly number[]): PortSet | undefined {
    const rules = indexes.map((index) => rows.rules[index] as NumberedRule);
    const ranges = flattenPorts(rules, this.#parts.protocols);
    return ranges.length === 0 ? undefined : this.#parts.portSets.take(ranges);
  }

  /** Sets or, without ports, removes a row; `ports` was taken for it. */
  #put(rows: RulesetRows, identity: Identity, ports: PortSet | undefined): void {
    const before = rows.rows.get(identity);
    const key = policyKey(rows.number, identity.number);
    if (ports === undefined) {
      rows.rows.delete(identity);
      if (before !== undefined) this.#parts.table.delete(key);
    } else {
      rows.rows.set(identity, ports);
      this.#parts.table.set(key, ports.extent);
    }
    if (before !== undefined) this.#parts.portSets.release(before);
  }

  #putWorld(rows: RulesetRows, ports: PortSet | undefined): void {
    const before = rows.world;
    const key = policyKey(rows.number, this.#parts.world);
    rows.world = ports;
    if (ports !== undefined) this.#parts.table.set(key, ports.extent);
    else if (before !== undefined) this.#parts.table.delete(key);
    if (before !== undefined) this.#parts.portSets.release(before);
  }
}
