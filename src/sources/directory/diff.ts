/** Two states of a cluster to the events that lead from the one to the other. */
import { isDeepStrictEqual } from 'node:util';
import { type ClusterEvent, type ClusterObject, keyOf } from '../../model/cluster.ts';

export function eventsBetween(
  before: ReadonlyMap<string, ClusterObject>,
  after: ReadonlyMap<string, ClusterObject>,
): ClusterEvent[] {
  const events: ClusterEvent[] = [];
  for (const [id, object] of before) {
    if (!after.has(id)) events.push({ type: 'delete', kind: object.kind, key: keyOf(object) });
  }
  for (const [id, object] of after) {
    if (!isDeepStrictEqual(before.get(id), object)) events.push({ type: 'upsert', object });
  }
  return events;
}
