/**
 * Endpoints -> tables of flows, one for each slot and family. They exist once, not in two copies, so a table is made
 * before its endpoint is put in force, and goes when neither copy has the slot any more.
 */
import type { FlowFamily, FlowTableId, FlowTableStore, NewFlowTable } from './kernel.ts';

export interface SlotTables {
  readonly slot: number;
  readonly families: readonly FlowFamily[];
  /** The slot's endpoint is the one that an agent before this gave it to: its connections are kept. */
  readonly adopted: boolean;
  /** Of their connections, as in `NewFlowTable`. */
  readonly owner: string;
}

/** The endpoints that are wanted now. */
export interface TableOwners {
  /** Grows whenever one comes or goes. */
  readonly version: number;
  slots(): Iterable<SlotTables>;
}

interface Seen {
  readonly owners: TableOwners;
  readonly version: number;
}

export class FlowTables {
  readonly #store: FlowTableStore;
  /** Also those that could perhaps not be made or deleted: to be deleted when nobody has them. */
  readonly #existing: Readonly<Record<FlowFamily, Set<number>>> = { 4: new Set(), 6: new Set() };
  /** Those of an agent before this that are there for sure: what an adopted endpoint keeps. */
  readonly #inherited: Readonly<Record<FlowFamily, Set<number>>> = { 4: new Set(), 6: new Set() };
  /** Tables of the endpoints that have them now; others are left-overs. */
  readonly #owned: Readonly<Record<FlowFamily, Set<number>>> = { 4: new Set(), 6: new Set() };
  /** Whose tables are there, and for which the next one's are. */
  #prepared: Seen | undefined;
  #provided: Seen | undefined;

  constructor(store: FlowTableStore) {
    this.#store = store;
    for (const { family, slot } of store.existing()) {
      this.#existing[family].add(slot);
      this.#inherited[family].add(slot);
    }
  }

  /** Slots that must not be given to a new endpoint before `collect` has returned them. */
  slots(): Set<number> {
    return new Set([...this.#existing[4], ...this.#existing[6]]);
  }

  /** Makes the tables that these endpoints lack. @throws BpfError */
  async prepare(owners: TableOwners): Promise<void> {
    if (isSeen(owners, this.#prepared)) return;
    const { version } = owners;
    const owned: FlowTableId[] = [];
    const missing: NewFlowTable[] = [];
    for (const { slot, families, adopted, owner } of owners.slots()) {
      for (const family of families) {
        if (this.#owned[family].has(slot)) continue;
        owned.push({ family, slot });
        if (!adopted || !this.#inherited[family].has(slot)) missing.push({ family, slot, owner });
      }
    }
    for (const { family, slot } of missing) this.#existing[family].add(slot);
    if (missing.length > 0) await this.#store.create(missing);
    for (const { family, slot } of owned) this.#owned[family].add(slot);
    this.#prepared = { owners, version };
  }

  /** Has tables ready for the next endpoint, if it is like these. @param slot that it gets; undefined: none is left @throws BpfError */
  async provide(owners: TableOwners, slot: number | undefined): Promise<void> {
    if (slot === undefined || isSeen(owners, this.#provided)) return;
    this.#provided = { owners, version: owners.version };
    const families = new Set<FlowFamily>();
    for (const one of owners.slots()) for (const family of one.families) families.add(family);
    await this.#store.provide([...families].map((family) => ({ family, slot })));
  }

  /**
   * Deletes all tables but those of these endpoints: nobody may know the others any more. Which ones is settled at the
   * call, so that calls may overlap. @returns slots that have none any more
   */
  async collect(owners: TableOwners): Promise<Set<number>> {
    const left = this.#takeLeft(owners);
    if (left.length === 0) return new Set();
    try {
      await this.#store.delete(left);
    } catch (error) {
      for (const { family, slot } of left) this.#existing[family].add(slot);
      throw error;
    }
    return new Set(left.map(({ slot }) => slot));
  }

  #takeLeft(owners: TableOwners): FlowTableId[] {
    const wanted = { 4: new Set<number>(), 6: new Set<number>() };
    for (const { slot, families } of owners.slots()) for (const family of families) wanted[family].add(slot);
    const left: FlowTableId[] = [];
    for (const family of [4, 6] as const) {
      for (const slot of this.#existing[family]) {
        if (wanted[family].has(slot)) continue;
        left.push({ family, slot });
        this.#existing[family].delete(slot);
        this.#inherited[family].delete(slot);
        this.#owned[family].delete(slot);
      }
    }
    return left;
  }
}

function isSeen(owners: TableOwners, seen: Seen | undefined): boolean {
  return seen?.owners === owners && seen.version === owners.version;
}
