/**
 * The endpoints' tables of flows <-> pins in DIRECTORY/flows, which say by their names whose they are: an agent with another
 * layout of maps finds them there. (A map of maps tells a table's id alone, for which before Linux 6.8 it takes a grace
 * period, and to open a map by its id takes CAP_SYS_ADMIN.)
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BpfError, BpfMap, type MapSpec } from '../../native.ts';
import type { FlowTableId, NewFlowTable } from './kernel.ts';
import { isMapLike, PRIVATE } from './pins.ts';

export interface FlowPinsParts {
  /** Made when it is needed. */
  readonly directory: string;
  /** What the tables' bytes mean: see `flowForm`. */
  readonly form: string;
  /** By which entries are placed. */
  readonly seed: Uint8Array;
}

export class FlowPins {
  readonly #directory: string;
  readonly #form: string;
  /** Names by what stands in them before the owner. */
  readonly #names = new Map<string, Set<string>>();

  constructor({ directory, form, seed }: FlowPinsParts) {
    this.#directory = directory;
    this.#form = digest(form, seed).slice(0, 8);
    if (existsSync(directory)) for (const name of readdirSync(directory)) this.#note(name);
  }

  /** Whether something is pinned as this owner's table in this slot. */
  has(table: NewFlowTable): boolean {
    return this.#names.get(this.#slotOf(table))?.has(this.#nameOf(table)) === true;
  }

  /** The table that this owner has had in this slot, if it is like that; for the caller to close. @throws {BpfError} */
  open(table: NewFlowTable, spec: MapSpec): BpfMap | undefined {
    const path = join(this.#directory, this.#nameOf(table));
    // Others may have put anything there.
    if (!this.has(table) || !isMapLike(path, spec)) return undefined;
    const found = BpfMap.openPinned(path);
    // The kernel would refuse another one, and with it all that are put in together.
    if (found.info.maxEntries === spec.maxEntries && found.info.flags === spec.flags) return found;
    found.close();
    return undefined;
  }

  /** In place of whatever is pinned for that slot. @throws {BpfError} */
  pin(table: NewFlowTable, map: BpfMap): void {
    this.remove([table]);
    const name = this.#nameOf(table);
    const path = join(this.#directory, name);
    try {
      map.pin(path);
    } catch (error) {
      if (!(error instanceof BpfError) || error.code !== 'ENOENT') throw error;
      // The first one; or somebody has removed it with all pins.
      mkdirSync(this.#directory, { recursive: true, mode: PRIVATE });
      map.pin(path);
    }
    this.#note(name);
  }

  /** Of these slots, whosever they are. Missing ones are fine. */
  remove(tables: Iterable<FlowTableId>): void {
    for (const table of tables) this.#remove(this.#slotOf(table));
  }

  /** All but those of these slots go. */
  keep(tables: Iterable<FlowTableId>): void {
    const kept = new Set(Array.from(tables, (table) => this.#slotOf(table)));
    for (const slot of [...this.#names.keys()]) if (!kept.has(slot)) this.#remove(slot);
  }

  #remove(slot: string): void {
    for (const name of this.#names.get(slot) ?? [])
      rmSync(join(this.#directory, name), { recursive: true, force: true });
    this.#names.delete(slot);
  }

  #note(name: string): void {
    const slot = name.slice(0, Math.max(0, name.lastIndexOf('-')));
    this.#names.set(slot, (this.#names.get(slot) ?? new Set()).add(name));
  }

  #nameOf(table: NewFlowTable): string {
    return `${this.#slotOf(table)}-${digest(table.owner).slice(0, 16)}`;
  }

  #slotOf({ family, slot }: FlowTableId): string {
    return `${this.#form}-${family}-${slot}`;
  }
}

function digest(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
