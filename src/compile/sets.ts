/**
 * The label-to-IP sets and, turned around, the sets of each address. Addresses with equal sets share one
 * object, so that a hundred thousand addresses cost little more than their keys.
 */
import type { Address } from '../model/address.ts';
import type { IpSet, SetId } from '../model/compiled.ts';

/** A set that a rule in force may name. */
export interface SetRecord {
  readonly id: SetId;
  /** Only for sorting and comparing quickly; differs from run to run. */
  readonly number: number;
  readonly set: IpSet;
  /** Those of `set`; always empty for an ipBlock. */
  readonly members: Set<Address>;
}

/** The sets that one or more addresses share. */
interface Combination {
  readonly key: string;
  readonly records: ReadonlySet<SetRecord>;
  readonly ids: ReadonlySet<SetId>;
  addresses: number;
}

export class Memberships {
  /** The sets of each address that is in any. A value is never changed, only replaced, and equal values are one object. */
  readonly byAddress = new Map<Address, ReadonlySet<SetId>>();
  readonly #byKey = new Map<string, Combination>();
  readonly #byIds = new Map<ReadonlySet<SetId>, Combination>();
  readonly #onFirstOrLast: (record: SetRecord) => void;

  /** The callback is told each set that gains its first member or loses its last. */
  constructor(onFirstOrLast: (record: SetRecord) => void) {
    this.#onFirstOrLast = onFirstOrLast;
  }

  get combinations(): number {
    return this.#byKey.size;
  }

  /** Makes these the sets of the address, and it a member of just these; in any order, may repeat. Tells whether anything changed. */
  put(address: Address, records: SetRecord[]): boolean {
    const before = this.#combinationOf(address);
    records.sort((a, b) => a.number - b.number);
    const key = keyOf(records);
    if (key === (before?.key ?? '')) return false;
    const after = this.#combine(key, records);
    for (const record of before?.records ?? []) if (after?.records.has(record) !== true) this.#leave(record, address);
    for (const record of after?.records ?? []) if (before?.records.has(record) !== true) this.#join(record, address);
    if (after === undefined) this.byAddress.delete(address);
    else {
      this.byAddress.set(address, after.ids);
      after.addresses++;
    }
    if (before !== undefined) this.#release(before);
    return true;
  }

  #combinationOf(address: Address): Combination | undefined {
    const ids = this.byAddress.get(address);
    return ids && this.#byIds.get(ids);
  }

  #combine(key: string, records: readonly SetRecord[]): Combination | undefined {
    if (key === '') return undefined;
    let combination = this.#byKey.get(key);
    if (combination === undefined) {
      const ids = new Set(records.map((record) => record.id));
      combination = { key, records: new Set(records), ids, addresses: 0 };
      this.#byKey.set(key, combination);
      this.#byIds.set(combination.ids, combination);
    }
    return combination;
  }

  #release(combination: Combination): void {
    if (--combination.addresses > 0) return;
    this.#byKey.delete(combination.key);
    this.#byIds.delete(combination.ids);
  }

  #join(record: SetRecord, address: Address): void {
    record.members.add(address);
    if (record.members.size === 1) this.#onFirstOrLast(record);
  }

  #leave(record: SetRecord, address: Address): void {
    record.members.delete(address);
    if (record.members.size === 0) this.#onFirstOrLast(record);
  }
}

function keyOf(sorted: readonly SetRecord[]): string {
  let key = '';
  for (let i = 0; i < sorted.length; i++) {
    const record = sorted[i] as SetRecord;
    if (record !== sorted[i - 1]) key += `${record.number},`;
  }
  return key;
}
