/** Raw objects, as the cases and worlds have them → what is asked about them. */
import type { ClusterObject } from '../../src/model/cluster.ts';
import { parseEnd, type Query } from '../../src/model/query.ts';
import { Reachability } from '../../src/observe/reachability.ts';
import { parseObject } from '../../src/sources/parse/object.ts';
import type { Question } from '../support/oracle/oracle.ts';

export function reachabilityOf(raw: readonly unknown[]): Reachability {
  return new Reachability(raw.map(slim));
}

/** undefined for protocols without ports, which no query asks about. */
export function queryOf({ from, to, family, protocol, port }: Question): Query | undefined {
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') return undefined;
  return { from: parseEnd(from), to: parseEnd(to), family, protocol, port: port as number };
}

function slim(raw: unknown): ClusterObject {
  const { parsed, warnings } = parseObject(raw);
  if (parsed.type !== 'object' && parsed.type !== 'pod') throw new Error(JSON.stringify({ raw, warnings }));
  return parsed.object;
}
