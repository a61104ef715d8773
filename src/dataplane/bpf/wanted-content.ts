/**
 * The wanted state -> the wanted content of every map, incrementally: what a change names is looked at, and what depends
 * on it. The order of steps is that of dependence: blocks, identities, their rows, rulesets and theirs, endpoints.
 */
import { type Address, familyOf, type Prefix } from '../../model/address.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { CompiledState, Endpoint, RulesetId, SetId } from '../../model/compiled.ts';
import type { DesiredState, Hint } from '../contract.ts';
import type { Abi } from './abi.ts';
import type { Adopted } from './adopted.ts';
import { Blocks, isPrefix, type Place } from './blocks.ts';
import { Endpoints } from './endpoints.ts';
import { Identities, type Identity, type PlaceSets } from './identities.ts';
import { NumberPool } from './number-pool.ts';
import { PolicyRows } from './policy-rows.ts';
import { PortSets } from './port-sets.ts';
import type { RuleNumbers } from './rule-numbers.ts';
import { RuleRecords } from './rule-records.ts';
import { type SetRecord, SetRecords } from './set-records.ts';
import type { SlotPool } from './slot-pool.ts';
import { type IpcacheEntry, makeTables, type Settings, type Tables } from './tables.ts';

/** A pod is said to hold a ruleset that was never given: a defect of ours, or of the hint. The whole state has to be looked at. */
export class UnknownRulesetError extends Error {
  readonly code = 'UNKNOWN_RULESET';
  constructor(id: RulesetId) {
    super(`ruleset ${id} is held by a pod, but neither state nor hint has given it`);
    this.name = 'UnknownRulesetError';
  }
}

export interface WantedContentParts {
  readonly abi: Abi;
  readonly ruleNumbers: RuleNumbers;
  readonly slots: SlotPool;
  readonly adopted: Adopted | undefined;
  /** Elements of each copy's `ports` map. */
  readonly portsCapacity: number;
  settings(state: DesiredState): Settings;
}

/** Of an endpoint, as it was when it was last looked at. */
type Held = Pick<Endpoint, Direction | 'addresses'>;

export class WantedContent {
  readonly tables: Tables;
  readonly endpoints: Endpoints;
  readonly rows: PolicyRows;
  readonly portSets: PortSets;
  readonly #parts: Omit<WantedContentParts, 'adopted'>;
  readonly #sets = new SetRecords();
  readonly #blocks = new Blocks();
  readonly #identities: Identities;
  readonly #rulesetNumbers: NumberPool;
  readonly #held = new Map<ObjectKey, Held>();
  /** Addresses of endpoints, with how many have them: more than one is a conflict. */
  readonly #localAddresses = new Map<Address, number>();
  #ownAddresses: ReadonlySet<Address> = new Set();
  #knownSets = new Set<SetId>();
  /** Until the first update is over. */
  #adopted: Adopted | undefined;

  constructor({ adopted, ...parts }: WantedContentParts) {
    const { abi } = parts;
    this.#parts = parts;
    this.#adopted = adopted;
    this.tables = makeTables(abi);
    this.portSets = new PortSets(this.tables.ports);
    for (const { ranges, extent } of adopted?.portSets() ?? []) this.portSets.adopt(ranges, extent);
    this.#identities = new Identities(abi.numbers.IDENTITY_WORLD, adopted?.freeIdentities ?? 1);
    this.#rulesetNumbers = new NumberPool(1, adopted?.freeRulesets ?? 1);
    this.rows = new PolicyRows({
      table: this.tables.policy,
      portSets: this.portSets,
      ruleRecords: new RuleRecords({
        ruleNumbers: parts.ruleNumbers,
        setRecords: this.#sets,
        protocols: { any: abi.numbers.PORTS_ANY, other: abi.numbers.PORTS_OTHER },
      }),
      world: abi.numbers.IDENTITY_WORLD,
    });
    this.endpoints = new Endpoints({
      tables: this.tables,
      slots: parts.slots,
      ifindexArray: abi.numbers.IFINDEX_ARRAY,
      rulesetNumber: (id) => this.#rulesetNumber(id),
      identityOf: (address) => this.#identities.numberOf(address) ?? abi.numbers.IDENTITY_WORLD,
    });
  }

  /** What each number in ipcache, cidrs and policy means. */
  identities(): Iterable<Identity> {
    return this.#identities.all();
  }

  /** After an exception the content is unusable: build a fresh one. */
  update(state: DesiredState, hint: Hint): void {
    const dirty = new Set<Place>();
    const goneSets = this.#updateBlocks(state.compiled, hint, dirty);
    this.#addDirtyAddresses(state, hint, dirty);
    const before = this.#updateHeld(state.compiled, hint, dirty);
    const meanings = this.#identities.move(this.#setsOf(dirty, state), (place) => this.#adopted?.identityOf(place));
    const entries = new Map<number, IpcacheEntry>();
    for (const place of dirty) this.#writePlace(place, entries);
    this.rows.refresh(meanings);
    this.#updateRulesets(state, hint, before);
    this.endpoints.update(state, hint && { pods: hint.endpoints, places: dirty }, this.#adopted);
    this.tables.settings.set(0, this.#parts.settings(state));
    this.#identities.settle();
    this.#sets.sweep(goneSets);
    this.portSets.settle();
    if (this.portSets.end > this.#parts.portsCapacity) {
      this.portSets.pack();
      this.rows.rewrite();
    }
    this.#adopted = undefined;
  }

  /** @returns sets that are no more; every place inside a block that came or went is dirty */
  #updateBlocks({ sets }: CompiledState, hint: Hint, dirty: Set<Place>): SetId[] {
    const gone: SetId[] = [];
    for (const id of hint?.sets ?? new Set([...this.#knownSets, ...sets.keys()])) {
      const set = sets.get(id);
      if (set === undefined) {
        gone.push(id);
        this.#knownSets.delete(id);
        const block = this.#blocks.remove(id);
        if (block !== undefined) for (const place of this.#blocks.concerned(block)) dirty.add(place);
        continue;
      }
      this.#knownSets.add(id);
      if (set.kind !== 'ipBlock' || !this.#blocks.add(this.#sets.of(id), set)) continue;
      for (const place of this.#blocks.concerned(set)) dirty.add(place);
    }
    return gone;
  }

  #addDirtyAddresses({ compiled, ownAddresses }: DesiredState, hint: Hint, dirty: Set<Place>): void {
    for (const address of ownAddresses) if (!this.#ownAddresses.has(address)) dirty.add(address);
    for (const address of this.#ownAddresses) if (!ownAddresses.has(address)) dirty.add(address);
    this.#ownAddresses = new Set(ownAddresses);
    if (hint !== undefined) {
      for (const address of hint.addresses) dirty.add(address);
      return;
    }
    for (const address of compiled.memberships.keys()) dirty.add(address);
    for (const place of this.#identities.places()) dirty.add(place);
  }

  /** @returns what the endpoints that may differ held before; their addresses then and now are dirty */
  #updateHeld({ endpoints }: CompiledState, hint: Hint, dirty: Set<Place>): Map<ObjectKey, Held> {
    const before = new Map<ObjectKey, Held>();
    for (const pod of hint?.endpoints ?? new Set([...this.#held.keys(), ...endpoints.keys()])) {
      const old = this.#held.get(pod);
      const endpoint = endpoints.get(pod);
      if (old !== undefined) before.set(pod, old);
      for (const address of old?.addresses ?? []) this.#countLocal(address, -1, dirty);
      for (const address of endpoint?.addresses ?? []) this.#countLocal(address, 1, dirty);
      if (endpoint === undefined) this.#held.delete(pod);
      else this.#held.set(pod, endpoint);
    }
    return before;
  }

  #countLocal(address: Address, by: 1 | -1, dirty: Set<Place>): void {
    const count = (this.#localAddresses.get(address) ?? 0) + by;
    if (count === 0) this.#localAddresses.delete(address);
    else this.#localAddresses.set(address, count);
    dirty.add(address);
  }

  /** In the ipcache for its own sake: members of sets, the node's own and, for their identity under blocks, local pods. */
  #isWanted(address: Address, { memberships }: CompiledState): boolean {
    return memberships.has(address) || this.#ownAddresses.has(address) || this.#localAddresses.has(address);
  }

  #setsOf(dirty: ReadonlySet<Place>, { compiled }: DesiredState): PlaceSets {
    const changes = new Map<Place, ReadonlySet<SetRecord> | undefined>();
    const together = this.#sharing();
    for (const place of dirty) {
      const wanted = !isPrefix(place) && this.#isWanted(place, compiled);
      if (wanted) this.#blocks.track(place);
      else if (!isPrefix(place)) this.#blocks.untrack(place);
      if (!wanted && !this.#blocks.isStored(place)) {
        changes.set(place, undefined);
        continue;
      }
      const members = isPrefix(place) ? undefined : compiled.memberships.get(place);
      changes.set(place, together(this.#blocks.holding(place), members));
    }
    return changes;
  }

  /** Joins blocks with the sets that an address is a member of; the same two give one and the same set: there are few of them. */
  #sharing(): (blocks: ReadonlySet<SetRecord>, members: ReadonlySet<SetId> | undefined) => ReadonlySet<SetRecord> {
    const known = new Map<ReadonlySet<SetRecord>, Map<ReadonlySet<SetId>, ReadonlySet<SetRecord>>>();
    return (blocks, members) => {
      if (members === undefined) return blocks;
      const byMembers = known.get(blocks) ?? new Map<ReadonlySet<SetId>, ReadonlySet<SetRecord>>();
      known.set(blocks, byMembers);
      let joined = byMembers.get(members);
      if (joined === undefined) {
        joined = new Set([...blocks, ...[...members].map((id) => this.#sets.of(id))]);
        byMembers.set(members, joined);
      }
      return joined;
    };
  }

  /** @param entries by identity: addresses that hold the same share one, for there may be a hundred thousand */
  #writePlace(place: Place, entries: Map<number, IpcacheEntry>): void {
    const identity = this.#identities.numberOf(place);
    const family = familyOf(place);
    if (isPrefix(place)) {
      const table = this.tables[`cidrs${family}`];
      if (identity === undefined) table.delete(place as Prefix);
      else table.set(place as Prefix, identity);
      return;
    }
    const table = this.tables[`ipcache${family}`];
    if (identity === undefined) {
      table.delete(place);
    } else if (this.#ownAddresses.has(place)) {
      table.set(place, { identity, ownNode: true });
    } else {
      const entry = entries.get(identity) ?? { identity, ownNode: false };
      entries.set(identity, entry);
      table.set(place, entry);
    }
  }

  #updateRulesets(state: DesiredState, hint: Hint, before: ReadonlyMap<ObjectKey, Held>): void {
    const { rulesets } = state.compiled;
    const ids = hint?.rulesets ?? new Set([...this.rows.ids(), ...rulesets.keys()]);
    const gone = new Set([...ids].filter((id) => !rulesets.has(id) && this.rows.get(id) !== undefined));
    const fresh = new Set([...ids].filter((id) => rulesets.has(id) && this.rows.get(id) === undefined));
    if (gone.size > 0 && fresh.size > 0) this.#succeed(state.compiled, before, gone, fresh);
    for (const id of gone) {
      const number = this.rows.get(id)?.number;
      this.rows.remove(id);
      if (number !== undefined) this.#rulesetNumbers.release(number);
    }
    const wishes = fresh.size > 0 ? this.#wishes(state) : undefined;
    for (const id of ids) {
      const ruleset = rulesets.get(id);
      if (ruleset === undefined) continue;
      const number = this.rows.get(id)?.number ?? this.#rulesetNumbers.take(wishes?.get(id));
      this.rows.upsert(ruleset, number);
    }
  }

  /** @throws {UnknownRulesetError} for 0 would mean "not isolated" */
  #rulesetNumber(id: RulesetId): number {
    const rows = this.rows.get(id);
    if (rows === undefined) throw new UnknownRulesetError(id);
    return rows.number;
  }

  /** A ruleset whose holders now hold a new one hands its number and rows on to it. */
  #succeed(
    { endpoints }: CompiledState,
    before: ReadonlyMap<ObjectKey, Held>,
    gone: Set<RulesetId>,
    fresh: Set<RulesetId>,
  ): void {
    for (const [pod, held] of before) {
      for (const direction of ['ingress', 'egress'] as const) {
        const old = held[direction];
        const id = endpoints.get(pod)?.[direction];
        if (old === undefined || id === undefined || !gone.has(old) || !fresh.has(id)) continue;
        this.rows.succeed(old, id);
        gone.delete(old);
        fresh.delete(id);
      }
    }
  }

  /** Numbers that the copy in force has for what an endpoint holds. */
  #wishes({ bindings, compiled }: DesiredState): Map<RulesetId, number> {
    const wishes = new Map(this.#adopted?.rulesets);
    if (this.#adopted === undefined) return wishes;
    for (const [ifindex, binding] of bindings) {
      if (binding.kind !== 'endpoint') continue;
      const endpoint = compiled.endpoints.get(binding.pod);
      const before = this.#adopted.endpointOf(ifindex)?.record;
      for (const direction of ['ingress', 'egress'] as const) {
        const id = endpoint?.[direction];
        if (id !== undefined && before !== undefined && before[direction] !== 0) wishes.set(id, before[direction]);
      }
    }
    return wishes;
  }
}
