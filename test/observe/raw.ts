/** Raw objects, as the cases and worlds have them → what is asked about them. */
import type { ClusterObject } from '../../src/model/cluster.ts';
import { type AnyQuery, parseEnd } from '../../src/model/query.ts';
import { Reachability, type ReachabilityOptions } from '../../src/observe/reachability.ts';
import { parseObject } from '../../src/sources/parse/object.ts';
import type { Question } from '../support/oracle/oracle.ts';

export function reachabilityOf(raw: readonly unknown[], options: ReachabilityOptions = {}): Reachability {
  return new Reachability(raw.map(slim), options);
}

/** undefined for protocols that no query asks about: what ICMP gets stands for them. */
export function queryOf({ from, to, family, protocol, port }: Question): AnyQuery | undefined {
  if (protocol === 'ICMP') return { from: parseEnd(from), to: parseEnd(to), family, protocol };
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') return undefined;
  return { from: parseEnd(from), to: parseEnd(to), family, protocol, port: port as number };
}

function slim(raw: unknown): ClusterObject {
  const { parsed, warnings } = parseObject(raw);
  if (parsed.type !== 'object' && parsed.type !== 'pod') throw new Error(JSON.stringify({ raw, warnings }));
  return parsed.object;
}
