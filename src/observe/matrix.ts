/** Who reaches whom on which port: the table that `matrix` computes and the lab measures, and what differs between two of them. */
import type { Address, Family } from '../model/address.ts';
import { keyOf, type Pod, type Protocol } from '../model/cluster.ts';

/** A port of a pod. */
export interface Column {
  readonly pod: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export type Outcome =
  | { readonly verdict: 'allow' | 'deny' }
  /** Nobody's verdict: only measuring can fail. */
  | { readonly verdict: 'error'; readonly reason: string };

/** A pod to itself is not asked: its packets never leave it. No outcome in a family: the two do not both have it. */
export type Cell = 'self' | { readonly [family in Family]?: Outcome };

export interface Matrix {
  /** Pods by their keys, in order, then `outside`. */
  readonly rows: readonly string[];
  readonly columns: readonly Column[];
  /** cells[row][column] */
  readonly cells: readonly (readonly Cell[])[];
}

/** The row of whoever is not of the cluster. */
export const OUTSIDE_ROW = 'outside';
/** Who plays it: documentation addresses that nobody has. */
export const OUTSIDE: Readonly<Record<Family, Address>> = { 4: '203.0.113.7' as Address, 6: '2001:db8::7' as Address };

/** One outcome with its ends. */
export interface MatrixEntry {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly family: 'IPv4' | 'IPv6';
  readonly verdict: Outcome['verdict'];
}

/** Row by row, each outcome once; a pod to itself is left out. */
export function* entriesOf({ rows, columns, cells }: Matrix): Generator<MatrixEntry> {
  for (const [row, line] of cells.entries()) {
    for (const [column, cell] of line.entries()) {
      if (cell === 'self') continue;
      const { pod, port, protocol } = columns[column] as Column;
      for (const family of [4, 6] as const) {
        const outcome = cell[family];
        if (outcome === undefined) continue;
        const ends = { from: rows[row] as string, to: pod, port, protocol };
        yield { ...ends, family: `IPv${family}`, verdict: outcome.verdict };
      }
    }
  }
}

export interface MatrixChange extends Omit<MatrixEntry, 'verdict'> {
  readonly before: Outcome['verdict'];
  readonly after: Outcome['verdict'];
}

export interface MatrixComparison {
  /** What would be denied first, then what would be allowed; each in the order of the matrix. */
  readonly changes: readonly MatrixChange[];
  readonly compared: number;
  /** Pods and ports (`shop/db 5432/tcp`) that are in one of the two only, of which nothing can be said. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
}

export function compareMatrices(before: Matrix, after: Matrix): MatrixComparison {
  const known = new Map([...entriesOf(before)].map((entry) => [idOf(entry), entry.verdict]));
  const changes: MatrixChange[] = [];
  let compared = 0;
  for (const { verdict, ...entry } of entriesOf(after)) {
    const earlier = known.get(idOf(entry));
    if (earlier === undefined) continue;
    compared++;
    if (earlier !== verdict) changes.push({ ...entry, before: earlier, after: verdict });
  }
  const became = (verdict: string) => changes.filter((change) => change.after === verdict);
  const names = [before, after].map(namesIn) as [Set<string>, Set<string>];
  return {
    changes: [...became('deny'), ...became('allow'), ...became('error')],
    compared,
    onlyBefore: [...names[0].difference(names[1])],
    onlyAfter: [...names[1].difference(names[0])],
  };
}

/** The ports that a pod's containers name; they may name one twice. */
export function columnsOf(pod: Pod): readonly Column[] {
  const columns = pod.ports.map(({ port, protocol }) => ({ pod: keyOf(pod), port, protocol }));
  return [...new Map(columns.map((column) => [columnName(column), column])).values()];
}

/** `shop/db 5432/tcp`. */
export function columnName({ pod, port, protocol }: Column): string {
  return `${pod} ${port}/${protocol.toLowerCase()}`;
}

function idOf({ from, to, port, protocol, family }: Omit<MatrixEntry, 'verdict'>): string {
  return `${from} ${to} ${port} ${protocol} ${family}`;
}

function namesIn({ rows, columns }: Matrix): Set<string> {
  return new Set([...rows, ...columns.map(columnName)]);
}
