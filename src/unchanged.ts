/** Two states and what may differ between them -> whether the second would put anything else in force than the first. */
import type { DesiredState, Hint } from './dataplane/contract.ts';

/** @param hint as the data plane would be given it @returns false when it is not plain to see */
export function isUnchanged(before: DesiredState | undefined, state: DesiredState, hint: Hint): boolean {
  if (before === undefined || hint === undefined) return false;
  const { endpoints, rulesets, sets, addresses } = hint;
  if (endpoints.size + rulesets.size + sets.size + addresses.size > 0) return false;
  return (
    state.bindings === before.bindings &&
    state.exits === before.exits &&
    state.ownAddresses === before.ownAddresses &&
    state.pending === before.pending
  );
}
