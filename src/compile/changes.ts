/** Collects what may differ in the compiled state since somebody last looked. */
import type { Address } from '../model/address.ts';
import type { ObjectKey } from '../model/cluster.ts';
import type { RulesetId, SetId, StateChanges } from '../model/compiled.ts';

export class ChangeLog implements StateChanges {
  readonly endpoints = new Set<ObjectKey>();
  readonly rulesets = new Set<RulesetId>();
  readonly sets = new Set<SetId>();
  readonly addresses = new Set<Address>();
}
