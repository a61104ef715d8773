/**
 * "Can FROM reach TO on PORT?" as users ask it, on command lines and as JSON lines:
 * `{"from":"shop/web","to":"shop/api","port":8080,"protocol":"TCP","family":"IPv4"}`; of ICMP without a port.
 */
import { z } from 'zod';
import { type Address, familyOf, parseAddress } from './address.ts';
import type { ObjectKey, Protocol } from './cluster.ts';

/** A pod by its key, or an address: of a pod, of a node, or of somebody outside. */
export type End =
  | { readonly kind: 'pod'; readonly key: ObjectKey }
  | { readonly kind: 'address'; readonly address: Address };

interface Ends {
  readonly from: End;
  readonly to: End;
  /** Absent: that of an end that is an address, else IPv4 where both ends have it, else IPv6. */
  readonly family?: 'IPv4' | 'IPv6';
}

/** About a port. */
export interface Query extends Ends {
  readonly port: number;
  readonly protocol: Protocol;
}

/** About ICMP, or ICMPv6: it has no ports, and neither has any other protocol that gets its verdict. */
export interface IcmpQuery extends Ends {
  readonly port?: undefined;
  readonly protocol: 'ICMP';
}

export type AnyQuery = Query | IcmpQuery;

/** A query that cannot be understood or answered; the message names what is wrong. */
export class QueryError extends Error {
  readonly code = 'QUERY';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QueryError';
  }
}

const PORT = 'a number from 1 to 65535';

const line = z.object(
  {
    from: z.string(must('text')),
    to: z.string(must('text')),
    port: z.int(must(PORT)).min(1, must(PORT)).max(65535, must(PORT)).optional(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP', 'ICMP'], must('TCP, UDP, SCTP or ICMP')).default('TCP'),
    family: z.enum(['IPv4', 'IPv6'], must('IPv4 or IPv6')).optional(),
  },
  must('an object'),
);

/** In our words: `must be text, not missing`. */
function must(what: string) {
  return {
    error: ({ input }: { readonly input?: unknown }) =>
      `must be ${what}, not ${excerpt(JSON.stringify(input) ?? 'missing')}`,
  };
}

/** One JSON line. @throws {QueryError} naming the field */
export function parseQuery(text: string): AnyQuery {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new QueryError(`not JSON: ${excerpt(text)}`, { cause });
  }
  const parsed = line.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new QueryError(`${issue?.path.join('.') || 'the query'}: ${issue?.message}: ${excerpt(text)}`);
  }
  const { from, to, port, protocol, family } = parsed.data;
  const ends = { from: parseEnd(from), to: parseEnd(to), ...(family && { family }) };
  if (protocol === 'ICMP') {
    if (port !== undefined) throw new QueryError(`port: ICMP has none, not ${port}: ${excerpt(text)}`);
    return { ...ends, protocol };
  }
  if (port === undefined) {
    throw new QueryError(`port: must be ${PORT}, not missing (only protocol ICMP has none): ${excerpt(text)}`);
  }
  return { ...ends, protocol, port };
}

/** `NAMESPACE/NAME` or an address. @throws {QueryError} */
export function parseEnd(text: string): End {
  const address = parseAddress(text);
  if (address !== undefined) return { kind: 'address', address };
  if (/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(text)) return { kind: 'pod', key: text as ObjectKey };
  throw new QueryError(`${JSON.stringify(text)} is neither NAMESPACE/POD nor an IP address`);
}

export function endText(end: End): string {
  return end.kind === 'pod' ? end.key : end.address;
}

/** `8080/tcp`, `53/udp`, `8080`: TCP when not said. @throws {QueryError} */
export function parsePort(text: string): { port: number; protocol: Protocol } {
  const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const port = Number(match?.[1]);
  if (match === null || port < 1 || port > 65535) {
    throw new QueryError(`${JSON.stringify(text)} is not a port: 8080, 8080/tcp, 53/udp, 9000/sctp`);
  }
  return { port, protocol: (match[2] ?? 'tcp').toUpperCase() as Protocol };
}

/** The families in which both ends have an address, IPv4 first. */
export function commonFamilies(from: readonly Address[], to: readonly Address[]): ('IPv4' | 'IPv6')[] {
  return ([4, 6] as const)
    .filter((family) => [from, to].every((end) => end.some((address) => familyOf(address) === family)))
    .map((family) => (family === 4 ? 'IPv4' : 'IPv6'));
}

function excerpt(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
