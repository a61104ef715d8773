/** What was measured -> ratios to the empty program, the slowest of each kind, and what was to be reached. */
import { cpus, loadavg, release } from 'node:os';
import type { Case } from './case.ts';
import type { Measurement } from './measure.ts';

export interface PathRow {
  readonly group: string;
  readonly name: string;
  readonly family: 4 | 6;
  readonly hook: string;
  readonly scale: string;
  readonly ns: number;
  /** To the empty program in the same run. */
  readonly ratio: number;
  readonly spread: number;
}

/** The slowest of a group, and what it should not exceed. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly reached: boolean;
  /** Which one was the slowest. */
  readonly by: string;
}

export interface PathReport {
  readonly machine: string;
  readonly kernel: string;
  /** Of the last minute, when it ended. */
  readonly load: number;
  readonly emptyNs: number;
  readonly rows: readonly PathRow[];
  readonly goals: readonly Goal[];
}

export function reportOf(cases: readonly Case[], { empty, cases: measured }: Measurement): PathReport {
  const rows = cases.map(({ group, name, family, hook, scale }, index): PathRow => {
    const { ns, spread } = measured[index] as Measurement['cases'][number];
    return { group, name, family, hook, scale, ns, ratio: ns / empty.ns, spread };
  });
  return {
    machine: `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores`,
    kernel: release(),
    load: loadavg()[0] ?? 0,
    emptyNs: empty.ns,
    rows,
    goals: [...slowest(rows), ...comparisons(rows)],
  };
}

const LIMITS: readonly { what: string; group: string; family?: 4 | 6; scale?: string; limit: number }[] = [
  { what: 'established packet or reply', group: 'established', family: 4, limit: 2.5 },
  { what: 'established packet or reply, IPv6', group: 'established', family: 6, limit: 2.7 },
  { what: 'drop without an event', group: 'drop, no event', limit: 3.9 },
  { what: 'drop with an event', group: 'drop, with event', limit: 6 },
  { what: 'drop, its event over the limit', group: 'drop, event over the limit', limit: 6 },
  { what: 'drop after a look-up among 1,000 prefixes', group: 'drop by a prefix', scale: '1,000 prefixes', limit: 7.5 },
  { what: 'new connection, allowed', group: 'new, allowed', limit: 12 },
  { what: 'new connection, allowed, UDP', group: 'new, allowed, UDP', limit: 12 },
  { what: 'under no policy, in mid-stream', group: 'under no policy', limit: 1.55 },
];

export const SMALLEST = '10 policies';

function slowest(rows: readonly PathRow[]): Goal[] {
  return LIMITS.flatMap(({ what, group, family, scale, limit }) => {
    const of = rows.filter((row) => {
      if (row.group !== group || (family !== undefined && row.family !== family)) return false;
      return row.scale === (scale ?? SMALLEST);
    });
    const worst = of.toSorted((a, b) => b.ratio - a.ratio)[0];
    if (worst === undefined) return [];
    return [
      {
        what,
        value: worst.ratio,
        limit,
        reached: worst.ratio <= limit,
        by: `${worst.hook}, IPv${worst.family}, ${worst.name}`,
      },
    ];
  });
}

/** The same packet in a larger world. */
function comparisons(rows: readonly PathRow[]): Goal[] {
  const pairs = [
    { large: '10,000 policies', small: SMALLEST, limit: (group: string) => (group.startsWith('drop') ? 1.1 : 1.05) },
    { large: '1,000,000 flows', small: '1,000 flows', limit: () => 1.1 },
  ];
  return pairs.flatMap(({ large, small, limit }) => {
    const groups = new Set(rows.filter((row) => row.scale === large).map((row) => row.group));
    return [...groups].flatMap((group) => {
      const ratios = rows
        .filter((row) => row.scale === large && row.group === group)
        .flatMap((row) => {
          const base = rows.find((one) => one.scale === small && isSame(one, row));
          return base === undefined ? [] : [{ row, value: row.ns / base.ns }];
        });
      const worst = ratios.toSorted((a, b) => b.value - a.value)[0];
      if (worst === undefined) return [];
      const { row, value } = worst;
      const what = `${group}: ${large} against ${small}`;
      return [{ what, value, limit: limit(group), reached: value <= limit(group), by: `${row.hook}, ${row.name}` }];
    });
  });
}

function isSame(a: PathRow, b: PathRow): boolean {
  return a.group === b.group && a.name === b.name && a.family === b.family && a.hook === b.hook;
}
