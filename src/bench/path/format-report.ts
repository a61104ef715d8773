/** A report -> a table for a terminal. */
import pc from 'picocolors';
import type { Goal, PathReport, PathRow } from './report.ts';

export function formatReport({ machine, kernel, load, emptyNs, rows, goals }: PathReport, colour: boolean): string {
  const { bold, dim, green, red } = pc.createColors(colour);
  const lines = [`${machine}, Linux ${kernel}, load ${load.toFixed(1)}; the empty program: ${emptyNs.toFixed(1)} ns`];
  const width = Math.max(...rows.map((row) => nameOf(row).length));
  let heading = '';
  for (const row of rows) {
    const next = `${row.group} (${row.scale})`;
    if (next !== heading) lines.push('', bold(next));
    heading = next;
    const noise = row.spread > 0.1 ? dim(`  ±${Math.round(row.spread * 100)} %`) : '';
    lines.push(
      `  ${nameOf(row).padEnd(width)} ${row.ns.toFixed(1).padStart(8)} ns ${row.ratio.toFixed(2).padStart(7)}${noise}`,
    );
  }
  lines.push('', bold('The slowest of each, against what is to be reached'));
  const longest = Math.max(...goals.map(({ what }) => what.length));
  for (const goal of goals) {
    const mark = goal.reached ? green('yes') : red('no ');
    lines.push(`  ${goal.what.padEnd(longest)} ${goalText(goal)}  ${mark} ${dim(goal.by)}`);
  }
  return `${lines.join('\n')}\n`;
}

function nameOf({ hook, family, name }: PathRow): string {
  return `${hook.padEnd(8)} IPv${family} ${name}`;
}

function goalText({ value, limit }: Goal): string {
  return `${value.toFixed(2).padStart(7)} ${`≤ ${limit}`.padEnd(7)}`;
}
