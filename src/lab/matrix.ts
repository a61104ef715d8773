/** Who reaches whom on which port, found out by real connections in every family that the two have. */
import { type Family, familyOf } from '../model/address.ts';
import { keyOf, type Pod, type Protocol } from '../model/cluster.ts';
import type { End, Query } from '../model/query.ts';
import type { Lab } from './lab.ts';
import type { ProbeOutcome } from './probe-attempt.ts';
import { OUTSIDE, type Stations } from './station.ts';

/** A port of a pod. */
export interface Column {
  readonly pod: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** A pod to itself is not asked: its packets never leave it. No outcome: the two have no family in common. */
export type Cell = 'self' | { readonly [family in Family]?: ProbeOutcome };

export interface Matrix {
  /** Pods by their keys, in order, then `outside`. */
  readonly rows: readonly string[];
  readonly columns: readonly Column[];
  /** cells[row][column] */
  readonly cells: readonly (readonly Cell[])[];
}

export async function probeMatrix(lab: Lab): Promise<Matrix> {
  const { stations } = lab;
  const pods = [...stations.pods];
  const rows = [...pods.map((pod) => rowOf(pod, stations)), outsideRow()];
  const columns = pods.flatMap((pod) => pod.ports.map(({ port, protocol }) => ({ pod: keyOf(pod), port, protocol })));
  const queries: Query[] = [];
  const places: { row: number; column: number; family: Family }[] = [];
  for (const [row, { name, families }] of rows.entries()) {
    for (const [column, { pod, port, protocol }] of columns.entries()) {
      const to: End = { kind: 'pod', key: pod };
      const shared = [...families].filter(([family]) => familiesOf(to, stations).has(family));
      for (const [family, from] of name === pod ? [] : shared) {
        queries.push({ from, to, port, protocol, family: `IPv${family}` });
        places.push({ row, column, family });
      }
    }
  }
  const outcomes = await lab.probeAll(queries);
  const cells = rows.map(({ name }) => columns.map(({ pod }): Cell => (name === pod ? 'self' : {})));
  for (const [index, { row, column, family }] of places.entries()) {
    const cell = cells[row]?.[column] as { [family in Family]?: ProbeOutcome };
    cell[family] = outcomes[index] as ProbeOutcome;
  }
  return { rows: rows.map(({ name }) => name), columns, cells };
}

interface Row {
  readonly name: string;
  /** Who asks, by family. */
  readonly families: ReadonlyMap<Family, End>;
}

function rowOf(pod: Pod, stations: Stations): Row {
  const end: End = { kind: 'pod', key: keyOf(pod) };
  return { name: end.key, families: new Map([...familiesOf(end, stations)].map((family) => [family, end])) };
}

function outsideRow(): Row {
  const ends = ([4, 6] as const).map((family) => [family, { kind: 'address', address: OUTSIDE[family] }] as const);
  return { name: 'outside', families: new Map(ends) };
}

function familiesOf(end: End, stations: Stations): ReadonlySet<Family> {
  return new Set(stations.find(end).map(({ address }) => familyOf(address)));
}
