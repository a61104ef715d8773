/** Who reaches whom on which port, found out by real connections in every family that the two have. */
import { type Family, familyOf } from '../../model/address.ts';
import { keyOf, type ObjectKey } from '../../model/cluster.ts';
import type { End, Query } from '../../model/query.ts';
import { endOfRow } from '../../observe/compute-matrix.ts';
import { type Cell, columnsOf, type Matrix, OUTSIDE, OUTSIDE_ROW, type Outcome } from '../../observe/matrix.ts';
import type { Lab } from '../lab.ts';
import type { Stations } from './station.ts';

const FAMILIES = [4, 6] as const;

export async function probeMatrix(lab: Lab): Promise<Matrix> {
  const { stations } = lab;
  const pods = [...stations.pods];
  const rows = [...pods.map(keyOf), OUTSIDE_ROW];
  const columns = pods.flatMap(columnsOf);
  const queries: Query[] = [];
  const places: { row: number; column: number; family: Family }[] = [];
  for (const [row, name] of rows.entries()) {
    for (const [column, { pod, port, protocol }] of columns.entries()) {
      if (name === pod) continue;
      const to: End = { kind: 'pod', key: pod as ObjectKey };
      const families = FAMILIES.filter((one) => [name, pod].every((end) => familiesOf(end, stations).has(one)));
      for (const family of families) {
        queries.push({ from: endOfRow(name, `IPv${family}`), to, port, protocol, family: `IPv${family}` });
        places.push({ row, column, family });
      }
    }
  }
  const outcomes = await lab.probeAll(queries);
  const cells = rows.map((name) => columns.map(({ pod }): Cell => (name === pod ? 'self' : {})));
  for (const [index, { row, column, family }] of places.entries()) {
    const cell = cells[row]?.[column] as { [family in Family]?: Outcome };
    cell[family] = outcomes[index] as Outcome;
  }
  return { rows, columns, cells };
}

function familiesOf(row: string, stations: Stations): ReadonlySet<Family> {
  if (row === OUTSIDE_ROW) return new Set(Object.values(OUTSIDE).map(familyOf));
  return new Set(stations.find({ kind: 'pod', key: row as ObjectKey }).map(({ address }) => familyOf(address)));
}
