/** Hints of several updates as one: what a side that missed some of them must look at. */
import type { StateChanges } from '../../model/compiled.ts';
import type { Hint } from '../contract.ts';

export const NOTHING: StateChanges = {
  endpoints: new Set(),
  rulesets: new Set(),
  sets: new Set(),
  addresses: new Set(),
};

/** `undefined` is "anything", and stays it. */
export function joinHints(a: Hint, b: Hint): Hint {
  if (a === undefined || b === undefined) return undefined;
  return {
    endpoints: a.endpoints.union(b.endpoints),
    rulesets: a.rulesets.union(b.rulesets),
    sets: a.sets.union(b.sets),
    addresses: a.addresses.union(b.addresses),
  };
}
