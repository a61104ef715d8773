/** Rows of cells -> lines in which columns stand beneath each other, colours not counted. */
import { stripVTControlCharacters } from 'node:util';

const GAP = '  ';

export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, widthOf(cell));
  }
  return rows.map((row) => `${line(row, widths)}\n`).join('');
}

/** @param widths of the columns, grown where a cell does not fit: names are never cut */
export function line(row: readonly string[], widths: number[]): string {
  const cells = row.map((cell, index) => {
    const width = widthOf(cell);
    widths[index] = Math.max(widths[index] ?? 0, width);
    return index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] as number) - width);
  });
  return cells.join(GAP).trimEnd();
}

function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
