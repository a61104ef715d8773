/** One record for each set of the compiled state: which identities have it, and which rules and rulesets ask for it, so that a change finds whom it concerns. */
import type { SetId } from '../../model/compiled.ts';
import type { Identity } from './identities.ts';
import type { RulesetRows } from './policy-rows.ts';
import type { RuleRecord } from './rule-records.ts';

export interface SetRecord {
  readonly id: SetId;
  /** Short name, for keys; means nothing outside of this process. */
  readonly number: number;
  readonly identities: Set<Identity>;
  /** Rules of any rulesets that admit it. */
  readonly rules: Set<RuleRecord>;
  /** Rulesets that have such a rule. */
  readonly rulesets: Set<RulesetRows>;
}

export class SetRecords {
  readonly #records = new Map<SetId, SetRecord>();
  #next = 1;

  of(id: SetId): SetRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      record = { id, number: this.#next++, identities: new Set(), rules: new Set(), rulesets: new Set() };
      this.#records.set(id, record);
    }
    return record;
  }

  /** Forgets those of the given sets that nobody refers to. */
  sweep(ids: Iterable<SetId>): void {
    for (const id of ids) {
      const record = this.#records.get(id);
      if (record !== undefined && record.identities.size === 0 && record.rules.size === 0) this.#records.delete(id);
    }
  }
}
