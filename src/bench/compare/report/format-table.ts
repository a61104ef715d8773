/** A report -> what the terminal shows: the machine, a table for each measure, what was to be reached, what is missing. */
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { columns } from '../../../observe/columns.ts';
import { MEASURES } from '../contract.ts';
import { formatRatioWithSpread, formatValue, topologyText, trafficText } from './numbers.ts';
import type { SavedFigure, SavedReport } from './saved-report.ts';
import { type Group, isHigherBetter, type Row, type Table, tablesOf } from './tables.ts';
import { goalText, LEGEND, machineText, runText } from './words.ts';

type Colours = ReturnType<typeof pc.createColors>;

/** A ratio that is worse than this is told in red. */
const MUCH = 2;

export function formatTable(report: SavedReport, terminal: { readonly colour: boolean; readonly width: number }) {
  const colours = pc.createColors(terminal.colour);
  const { bold, dim } = colours;
  const parts = [
    `${bold(machineText(report))}\n${runText(report)}\n`,
    ...tablesOf(report).map((table) => tableText(table, terminal.width, colours)),
  ];
  if (report.figures.some(({ ratio }) => ratio !== undefined)) parts.push(`${dim(LEGEND)}\n`);
  if (report.goals.length > 0) {
    parts.push(`${bold('What is to be reached')}\n${report.goals.map((goal) => goalLines(goal, colours)).join('')}`);
  }
  if (report.left.length > 0) {
    parts.push(`${bold('What could not be measured')}\n${report.left.map((line) => `  ${line}\n`).join('')}`);
  }
  return parts.join('\n');
}

function tableText(table: Table, width: number, colours: Colours): string {
  const { measure, groups, rows } = table;
  const { unit, text } = MEASURES[measure];
  const better = isHigherBetter(measure) ? 'higher is better' : 'lower is better';
  const names = [colours.dim('policies'), ...rows.map(({ engine }) => engine)];
  const room = width - Math.max(...names.map(widthOf));
  const all = groups.map((group, index) => columnsOf(group, index, rows, colours));
  const blocks = fitting(all, room).map((shown) => {
    const heads = shown.map(({ group }, index) => (shown[index - 1]?.group === group ? '' : colours.dim(group)));
    const lines = names.map((name, row) => [name, ...shown.map(({ cells }) => cells[row] ?? '')]);
    if (heads.filter((head) => head !== '').length > 1) return columns([['', ...heads], ...lines]);
    return `${' '.repeat(width - room + GAP)}${heads[0]}\n${columns(lines)}`;
  });
  return `${colours.bold(text)}, ${unit}; ${better}\n${blocks.join('\n')}`;
}

interface Column {
  readonly group: string;
  /** The number of policies, then one for each row, all as wide as the widest. */
  readonly cells: readonly string[];
}

function columnsOf(group: Group, index: number, rows: readonly Row[], colours: Colours): readonly Column[] {
  const name = `${topologyText(group.topology)}, ${trafficText(group.traffic)}`;
  return group.policies.map((policies, column) => {
    const pairs = rows.map(({ cells }) => cellText(cells[index]?.[column], colours));
    const widest = Math.max(...pairs.map(([value]) => value.length));
    const cells = pairs.map(([value, ratio]) => `${value.padStart(widest)} ${ratio}`.trimEnd());
    return { group: name, cells: [policies.toLocaleString('en').padStart(widest), ...cells] };
  });
}

/** Median and ratio. */
function cellText(figure: SavedFigure | undefined, { dim, red, green }: Colours): readonly [string, string] {
  if (figure === undefined) return ['', ''];
  const { median, low, high, ratio, measure } = figure;
  if (ratio === undefined) {
    const off = Math.max(high - median, median - low);
    const told = formatValue(median);
    return [told, off / median >= 0.01 ? dim(`±${Math.round((100 * off) / median)}%`) : ''];
  }
  const told = formatRatioWithSpread(ratio);
  if (!ratio.differs) return [formatValue(median), dim(told)];
  const worse = isHigherBetter(measure) ? 1 / ratio.median : ratio.median;
  return [formatValue(median), worse >= MUCH ? red(told) : worse < 1 ? green(told) : told];
}

/** Groups side by side as long as they fit; one that is too wide goes on beneath, alone. */
function fitting(groups: readonly (readonly Column[])[], room: number): readonly (readonly Column[])[] {
  const lines: Column[][] = [];
  let left = 0;
  for (const group of groups) {
    const widths = group.map(({ cells }) => GAP + Math.max(...cells.map(widthOf)));
    // Beside others its name stands in its first column.
    const beside = Math.max(widths[0] ?? 0, GAP + (group[0]?.group.length ?? 0)) + sum(widths.slice(1));
    if (beside <= left) {
      lines.at(-1)?.push(...group);
      left -= beside;
    } else {
      const own = split(group, widths, room);
      lines.push(...own);
      left = own.length === 1 ? room - beside : 0;
    }
  }
  return lines;
}

function split(group: readonly Column[], widths: readonly number[], room: number): Column[][] {
  const lines: Column[][] = [];
  let left = 0;
  for (const [index, column] of group.entries()) {
    const width = widths[index] ?? 0;
    if (left < width) {
      lines.push([]);
      left = room;
    }
    lines.at(-1)?.push(column);
    left -= width;
  }
  return lines;
}

const GAP = 2;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function goalLines(goal: SavedReport['goals'][number], { green, red, dim }: Colours): string {
  const mark = goal.reached ? green('reached') : red('missed ');
  return `  ${mark}  ${goal.what}\n           ${goalText(goal)}  ${dim(goal.by)}\n`;
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
