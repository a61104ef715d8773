/** Figures -> tables: one for each measure; engines are its rows, places and numbers of policies its columns. */
import { ENGINES, MEASURES, type Measure, type Topology, type Traffic } from '../contract.ts';
import type { SavedFigure, SavedReport } from './saved-report.ts';

/** Columns of one place, with rising numbers of policies. */
export interface Group {
  readonly topology: Topology;
  readonly traffic: Traffic;
  readonly policies: readonly number[];
}

export interface Row {
  readonly engine: string;
  /** One for each column of each group. */
  readonly cells: readonly (readonly (SavedFigure | undefined)[])[];
}

export interface Table {
  readonly measure: Measure;
  readonly groups: readonly Group[];
  readonly rows: readonly Row[];
}

const TRAFFICS: readonly Traffic[] = ['allowed', 'denied', 'unselected'];
const TOPOLOGIES: readonly Topology[] = ['one-node', 'two-nodes'];

export function tablesOf({ figures }: SavedReport): readonly Table[] {
  const engines = enginesOf(figures);
  return (Object.keys(MEASURES) as Measure[]).flatMap((measure): Table[] => {
    const own = withoutPolicies(figures.filter((figure) => figure.measure === measure));
    if (own.length === 0) return [];
    const groups = groupsOf(own);
    const rows = engines.flatMap((engine): Row[] => {
      const ofEngine = own.filter((one) => one.engine === engine);
      if (ofEngine.length === 0) return [];
      const cells = groups.map(({ policies, ...place }) =>
        policies.map((count) => ofEngine.find((one) => one.policies === count && isAt(one, place))),
      );
      return [{ engine, cells }];
    });
    return [{ measure, groups, rows }];
  });
}

/** Where there is no policy at all, pods under none are what the allowed ones start from: they stand in one row with these. */
export function withoutPolicies(figures: readonly SavedFigure[]): readonly SavedFigure[] {
  if (!figures.some(({ traffic }) => traffic === 'allowed')) return figures;
  return figures.map((figure) =>
    figure.policies === 0 && figure.traffic === 'unselected' ? { ...figure, traffic: 'allowed' } : figure,
  );
}

function groupsOf(figures: readonly SavedFigure[]): readonly Group[] {
  const places = TRAFFICS.flatMap((traffic) => TOPOLOGIES.map((topology) => ({ topology, traffic })));
  return places.flatMap((place): Group[] => {
    const counts = figures.filter((one) => isAt(one, place)).map(({ policies }) => policies);
    if (counts.length === 0) return [];
    return [{ ...place, policies: [...new Set(counts)].toSorted((a, b) => a - b) }];
  });
}

type Place = Pick<Group, 'topology' | 'traffic'>;

function isAt(figure: SavedFigure, { topology, traffic }: Place): boolean {
  return figure.topology === topology && figure.traffic === traffic;
}

/** Those of the project in their order, then others as they come. */
export function enginesOf(figures: readonly SavedFigure[]): readonly string[] {
  const met = new Set(figures.map(({ engine }) => engine));
  const known = ENGINES.filter((name) => met.has(name));
  return [...known, ...[...met].filter((name) => !ENGINES.some((one) => one === name))];
}

export function isHigherBetter(measure: Measure): boolean {
  return measure.endsWith('rate');
}
