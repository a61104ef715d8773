/** Interfaces of a node where nothing is in force yet -> the state for as long as nothing is known of any pod. */
import type { DesiredState } from './dataplane/contract.ts';
import type { PendingMode } from './links/bindings.ts';
import { EMPTY_STATE } from './model/compiled.ts';
import type { Binding, NodeLinks } from './model/links.ts';

/** What is there already goes on, for it may be in use since long before we came; what comes is judged as unknown. */
export function beginningState({ pods, exits, ownAddresses }: NodeLinks, pending: PendingMode): DesiredState {
  const verdict = pending === 'closed' ? 'closed' : 'open';
  const bindings = new Map<number, Binding>();
  for (const link of pods.values()) {
    bindings.set(link.ifindex, { kind: 'pending', link, verdict, reason: 'nothing is known of any pod yet' });
  }
  return { compiled: EMPTY_STATE, bindings, exits, ownAddresses, pending: pending === 'open' ? 'open' : 'closed' };
}
