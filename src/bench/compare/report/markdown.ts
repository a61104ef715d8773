/** A report -> Markdown with its plots and main tables, beside which the plots' files lie: what documentation takes over. */
import { MEASURES } from '../contract.ts';
import { formatRatioWithSpread, formatValue, topologyText, trafficText } from './numbers.ts';
import type { Plot } from './plot-data.ts';
import type { SavedFigure, SavedReport } from './saved-report.ts';
import { type Group, isHigherBetter, type Table, tablesOf } from './tables.ts';
import { goalText, LEGEND, machineText, runText, titleOf } from './words.ts';

export function markdownOf(report: SavedReport, plots: readonly Plot[]): string {
  const goals = report.goals.map((goal) => {
    const mark = goal.reached ? 'reached' : '**missed**';
    return [goal.what, goalText(goal), mark, goal.by];
  });
  const parts = [
    `# ${titleOf(report)}`,
    `${plain(machineText(report))}; ${plain(runText(report))}.`,
    ...(goals.length === 0 ? [] : [tableOf(['what', 'the worst', '', 'where'], goals)]),
    ...plots.map(({ name, title, subtitle }) => `![${title}; ${subtitle}](${name}.svg)`),
    ...(report.figures.some(({ ratio }) => ratio !== undefined) ? [LEGEND] : []),
    ...tablesOf(report).flatMap(textsOf),
    ...(report.left.length === 0 ? [] : [`Not measured:\n${report.left.map((line) => `- ${plain(line)}`).join('\n')}`]),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Groups of one number of policies share a table. */
function textsOf(table: Table): readonly string[] {
  const { unit, text } = MEASURES[table.measure];
  const better = isHigherBetter(table.measure) ? 'higher is better' : 'lower is better';
  const wide = table.groups.flatMap((group, index) => (group.policies.length > 2 ? [[index]] : []));
  const narrow = table.groups.flatMap((group, index) => (group.policies.length > 2 ? [] : [index]));
  return [...wide, ...(narrow.length === 0 ? [] : [narrow])].map((indexes) => {
    const groups = indexes.map((index) => table.groups[index] as Group);
    const [only] = groups;
    const alone = groups.length === 1 && only !== undefined;
    const heads = groups.flatMap((group) =>
      group.policies.map((count) => `${alone ? '' : `${placeText(group)}: `}${count.toLocaleString('en')}`),
    );
    const rows = table.rows.map(({ engine, cells }) => [
      engine,
      ...indexes.flatMap((index) => cells[index]?.map(cellText) ?? []),
    ]);
    const title = `**${text}**, ${unit}, ${better}${alone ? `; ${placeText(only)}` : ''}`;
    return `${title}\n\n${tableOf(['policies', ...heads], rows)}`;
  });
}

function placeText({ topology, traffic }: Group): string {
  return `${topologyText(topology)}, ${trafficText(traffic)}`;
}

function cellText(figure: SavedFigure | undefined): string {
  if (figure === undefined) return '';
  const told = formatValue(figure.median);
  return figure.ratio === undefined ? told : `${told} (${formatRatioWithSpread(figure.ratio)})`;
}

function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, heads.map(() => '---'), ...rows.map((row) => row.map(plain))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Nothing that Markdown would take for its own. */
function plain(text: string): string {
  return text.replace(/[|<>`\\]/g, (character) => `\\${character}`);
}
