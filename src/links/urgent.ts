/** Two NodeLinks -> whether what is between them must be in force at once, or may go with the next state that is. */
import { isDeepStrictEqual } from 'node:util';
import type { NodeLinks } from '../model/links.ts';
import { isLinkLocal6 } from './link-local.ts';

/**
 * Every veth that comes up brings the node a link-local address, just when its pod waits for its own state: which would have
 * to wait for a grace period behind that one. Nothing is on its way to such an address yet.
 */
export function isUrgent(before: NodeLinks | undefined, now: NodeLinks): boolean {
  if (before === undefined || now.missed || now.gone.size > 0) return true;
  const changed = [...before.ownAddresses.symmetricDifference(now.ownAddresses)];
  if (changed.length === 0 || !changed.every(isLinkLocal6)) return true;
  return !isDeepStrictEqual([before.pods, before.exits], [now.pods, now.exits]);
}
