/**
 * Endpoints -> tables of flows, one for each slot and family. They exist once, not in two copies, so a table is made
 * before its endpoint is put in force, and goes when neither copy has the slot any more.
 */
import type { FlowFamily, FlowTableStore } from './kernel.ts';

export interface SlotTables {
  readonly slot: number;
  readonly families: readonly FlowFamily[];
  /** The slot's endpoint is the one that an agent before this gave it to: its connections are kept. */
  readonly adopted: boolean;
}

export class FlowTables {
  readonly #store: FlowTableStore;
  readonly #existing: Readonly<Record<FlowFamily, Set<number>>>;
  /** Tables of the endpoints that have them now; others are left-overs. */
  readonly #owned: Readonly<Record<FlowFamily, Set<number>>> = { 4: new Set(), 6: new Set() };

  constructor(store: FlowTableStore) {
    this.#store = store;
    this.#existing = { 4: new Set(store.existing(4)), 6: new Set(store.existing(6)) };
  }

  /** Slots that must not be given to a new endpoint before `collect` has returned them. */
  slots(): Set<number> {
    return new Set([...this.#existing[4], ...this.#existing[6]]);
  }

  /** Makes the tables that these endpoints lack. @throws BpfError */
  prepare(endpoints: Iterable<SlotTables>): void {
    for (const { slot, families, adopted } of endpoints) {
      for (const family of families) {
        if (this.#owned[family].has(slot)) continue;
        if (!adopted || !this.#existing[family].has(slot)) this.#store.create(family, slot);
        this.#existing[family].add(slot);
        this.#owned[family].add(slot);
      }
    }
  }

  /** Deletes all tables but those of these endpoints. @returns slots that have none any more */
  collect(endpoints: Iterable<SlotTables>): Set<number> {
    const wanted = { 4: new Set<number>(), 6: new Set<number>() };
    for (const { slot, families } of endpoints) for (const family of families) wanted[family].add(slot);
    const gone = new Set<number>();
    for (const family of [4, 6] as const) {
      for (const slot of this.#existing[family]) {
        if (wanted[family].has(slot)) continue;
        this.#store.delete(family, slot);
        this.#existing[family].delete(slot);
        this.#owned[family].delete(slot);
        gone.add(slot);
      }
    }
    for (const slot of this.slots()) gone.delete(slot);
    return gone;
  }
}
