/** Reachability → its matrix: every pod and somebody outside, to every port that a pod's containers name. */
import type { Family } from '../model/address.ts';
import { keyOf, type ObjectKey } from '../model/cluster.ts';
import { commonFamilies, type End } from '../model/query.ts';
import { type Cell, type Column, columnsOf, type Matrix, OUTSIDE, OUTSIDE_ROW, type Outcome } from './matrix.ts';
import type { Reachability } from './reachability.ts';

const ALLOW: Outcome = { verdict: 'allow' };
const DENY: Outcome = { verdict: 'deny' };

export function computeMatrix(reachability: Reachability): Matrix {
  const { pods } = reachability.places;
  const rows = [...pods.map(keyOf), OUTSIDE_ROW];
  const columns = pods.flatMap(columnsOf);
  return {
    rows,
    columns,
    cells: rows.map((row) =>
      columns.map((column) => (row === column.pod ? 'self' : cellOf(reachability, row, column))),
    ),
  };
}

/** Who asks for a row, in a family. */
export function endOfRow(row: string, family: 'IPv4' | 'IPv6'): End {
  if (row === OUTSIDE_ROW) return { kind: 'address', address: OUTSIDE[family === 'IPv4' ? 4 : 6] };
  return { kind: 'pod', key: row as ObjectKey };
}

function cellOf(reachability: Reachability, row: string, { pod, port, protocol }: Column): Cell {
  const to = { kind: 'pod', key: pod as ObjectKey } as const;
  const cell: { [family in Family]?: Outcome } = {};
  const sources =
    row === OUTSIDE_ROW ? Object.values(OUTSIDE) : reachability.places.find(endOfRow(row, 'IPv4')).addresses;
  for (const family of commonFamilies(sources, reachability.places.find(to).addresses)) {
    const { allowed } = reachability.ask({ from: endOfRow(row, family), to, port, protocol, family });
    cell[family === 'IPv4' ? 4 : 6] = allowed ? ALLOW : DENY;
  }
  return cell;
}
