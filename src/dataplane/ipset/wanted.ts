/** A node's state, with the marks of its rulesets -> what both families' rules and sets are to say. */
import { type Address, familyOf } from '../../model/address.ts';
import type { ObjectKey } from '../../model/cluster.ts';
import type { RulesetId } from '../../model/compiled.ts';
import type { DesiredState } from '../contract.ts';
import type { Wanted } from './side-content.ts';

export function wantedOf(state: DesiredState, numbers: ReadonlyMap<RulesetId, number>): Wanted {
  return { state: state.compiled, numbers, linkLocal: linkLocalOf(state) };
}

function linkLocalOf({ bindings }: DesiredState): Map<ObjectKey, readonly Address[]> {
  const addresses = new Map<ObjectKey, readonly Address[]>();
  for (const binding of bindings.values()) {
    if (binding.kind !== 'endpoint') continue;
    addresses.set(
      binding.pod,
      binding.linkLocal.filter((address) => familyOf(address) === 6),
    );
  }
  return addresses;
}
