/** A report and its plots -> one HTML page that asks for nothing else: it can be sent, archived and printed as it is. */
import { MEASURES } from '../contract.ts';
import { formatRatioWithSpread, formatValue, topologyText, trafficText } from './numbers.ts';
import type { SavedFigure, SavedReport } from './saved-report.ts';
import { isHigherBetter, type Table, tablesOf } from './tables.ts';
import { goalText, LEGEND, machineText, runText, titleOf } from './words.ts';

export interface DrawnPlot {
  readonly title: string;
  readonly svg: string;
}

export function pageOf(report: SavedReport, plots: readonly DrawnPlot[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>selvedge bench: ${escaped(machineText(report))}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>selvedge bench</h1>
<p class="lead">${titleOf(report)}, on ${escaped(machineText(report))}</p>
<p>${escaped(runText(report))}</p>
</header>
${section('What is to be reached', goalsTable(report))}
${section('Over the number of policies', plotsText(plots))}
${section('Every figure', `${legend(report)}${tablesOf(report).map(tableText).join('')}`)}
${section('What could not be measured', listText(report.left))}
</body>
</html>
`;
}

function section(title: string, body: string): string {
  return body === '' ? '' : `<section>\n<h2>${title}</h2>\n${body}</section>`;
}

function goalsTable({ goals }: SavedReport): string {
  if (goals.length === 0) return '';
  const rows = goals.map((goal) => {
    const mark = goal.reached ? '<td class="reached">reached</td>' : '<td class="missed">missed</td>';
    return `<tr>${mark}<th scope="row">${escaped(goal.what)}</th><td>${goalText(goal)}</td><td>${escaped(goal.by)}</td></tr>\n`;
  });
  return scrolling(
    `<table class="goals">\n<thead><tr><th></th><th>what</th><th>the worst</th><th>where</th></tr></thead>\n<tbody>\n${rows.join('')}</tbody></table>`,
  );
}

function plotsText(plots: readonly DrawnPlot[]): string {
  const figures = plots.map(({ title, svg }) => {
    const named = svg.replace('<svg ', `<svg role="img" aria-label="${escaped(title)}" `);
    return `<figure>${named}</figure>\n`;
  });
  return plots.length === 0 ? '' : `<div class="plots">\n${figures.join('')}</div>\n`;
}

function legend({ figures }: SavedReport): string {
  return figures.some(({ ratio }) => ratio !== undefined) ? `<p>${escaped(LEGEND)}</p>\n` : '';
}

/** A table for each place: as many side by side as there is room for. */
function tableText({ measure, groups, rows }: Table): string {
  const { unit, text } = MEASURES[measure];
  const better = isHigherBetter(measure) ? 'higher is better' : 'lower is better';
  const tables = groups.map(({ topology, traffic, policies }, index) => {
    const heads = policies.map((count) => `<th scope="col">${count.toLocaleString('en')}</th>`);
    const lines = rows.flatMap(({ engine, cells }) => {
      const own = cells[index] ?? [];
      if (own.every((figure) => figure === undefined)) return [];
      return [`<tr><th scope="row">${escaped(engine)}</th>${own.map(cellText).join('')}</tr>\n`];
    });
    const caption = `<caption>${topologyText(topology)}, ${trafficText(traffic)}</caption>`;
    return scrolling(
      `<table class="figures">\n${caption}\n<thead><tr><th>policies</th>${heads.join('')}</tr></thead>\n<tbody>\n${lines.join('')}</tbody></table>`,
    );
  });
  const title = `<h3>${escaped(text)} <small>${unit}, ${better}</small></h3>`;
  return `${title}\n<div class="places">\n${tables.join('')}</div>\n`;
}

function cellText(figure: SavedFigure | undefined): string {
  if (figure === undefined) return '<td></td>';
  const { median, low, high, samples, ratio, measure } = figure;
  const all = `quartiles ${formatValue(low)} and ${formatValue(high)}; samples ${samples.map(formatValue).join(', ')}`;
  return `<td title="${all}">${formatValue(median)}${ratio === undefined ? '' : ratioText(ratio, measure)}</td>`;
}

function ratioText(ratio: NonNullable<SavedFigure['ratio']>, measure: SavedFigure['measure']): string {
  const worse = isHigherBetter(measure) ? 1 / ratio.median : ratio.median;
  const kind = !ratio.differs ? 'same' : worse >= 2 ? 'worse' : 'near';
  return `<br><small class="${kind}">${formatRatioWithSpread(ratio)}</small>`;
}

function listText(lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<ul>\n${lines.map((line) => `<li>${escaped(line)}</li>\n`).join('')}</ul>\n`;
}

function scrolling(table: string): string {
  return `<div class="scrolling">\n${table}\n</div>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const STYLE = `
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 84rem; padding: 1rem 1.5rem 3rem; color: #222; background: #fff;
  font: 15px/1.45 system-ui, "DejaVu Sans", Verdana, sans-serif; }
h1 { margin: .5rem 0 0; font-size: 1.9rem; }
h2 { margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 2px solid #222; font-size: 1.3rem; }
h3 { margin: 1.6rem 0 .3rem; font-size: 1rem; }
h3::first-letter { text-transform: uppercase; }
h3 small { color: #555; font-weight: normal; }
p { margin: .3rem 0; max-width: 60rem; }
.lead { font-size: 1.1rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; border: 1px solid #ccc; padding: .4rem; }
svg { display: block; width: 100%; height: auto; }
.scrolling { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .45rem; vertical-align: top; }
thead th { font-weight: 600; }
tbody th { font-weight: normal; text-align: left; white-space: nowrap; }
tbody tr { border-top: 1px solid #ddd; }
.goals th, .goals td { text-align: left; }
.goals tbody th { white-space: normal; }
.goals td { white-space: nowrap; }
.places { display: flex; flex-wrap: wrap; gap: .6rem 1.5rem; }
.places .scrolling { max-width: 100%; }
caption { text-align: left; font-style: italic; padding-left: .45rem; white-space: nowrap; }
.figures th, .figures td { text-align: right; white-space: nowrap; line-height: 1.2; }
.figures th:first-child { position: sticky; left: 0; text-align: left; background: #fff; }
small { font-size: .82em; }
.same { color: #666; }
.worse { font-weight: bold; }
.reached::before { content: "\\2713\\A0"; }
.missed { font-weight: bold; }
.missed::before { content: "\\2717\\A0"; }
@media (max-width: 50rem) {
  body { padding: .5rem .8rem 2rem; }
  .goals td { white-space: normal; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 9pt; }
  .plots { grid-template-columns: 1fr 1fr; }
  figure, table { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scrolling { overflow: visible; }
  th, td { padding: .1rem .3rem; }
}
`;
