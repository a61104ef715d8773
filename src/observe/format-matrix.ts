/** A matrix as text: a staircase of column names over one mark for each pair, what changed since the last one marked. */
import pc from 'picocolors';
import { type Cell, type Column, columnName, type Matrix } from './matrix.ts';

export interface FormatOptions {
  /** What was there before: cells that differ are marked. */
  readonly before?: Matrix | undefined;
  /** Whether changes are also said in words; default true. */
  readonly sentences?: boolean;
  readonly colour: boolean;
  /** Characters of a line; wider matrices are cut into several blocks. */
  readonly width: number;
}

/** `only4`: reached over IPv4 alone of both. */
export type Mark = 'allow' | 'deny' | 'only4' | 'only6' | 'error' | 'self' | 'none';

const SYMBOLS: Record<Mark, string> = {
  allow: '✓',
  deny: '✗',
  only4: '4',
  only6: '6',
  error: '!',
  self: '·',
  none: ' ',
};

const LEGEND: Record<Mark, string> = {
  allow: 'reached',
  deny: 'dropped',
  only4: 'reached over IPv4 only',
  only6: 'reached over IPv6 only',
  error: 'no verdict',
  self: 'the pod itself',
  none: 'no family in common',
};

/** Changes beyond these are only counted. */
const CHANGES_TOLD = 12;

export function formatMatrix(matrix: Matrix, options: FormatOptions): string {
  if (matrix.columns.length === 0) return 'No pod has a port that could be asked.';
  const labels = matrix.rows.map((row) => row.padEnd(longest(matrix.rows)));
  const changes = changesOf(matrix, options.before);
  const blocks = blocksOf(matrix, (labels[0] ?? '').length, options.width).map((block) => {
    const lines = labels.map((label, row) => {
      const marks = block.map((column) =>
        styled(matrix.cells[row]?.[column], changes.has(`${row} ${column}`), options),
      );
      return `  ${label}  ${marks.join('')}`.trimEnd();
    });
    return [...staircase(matrix.columns, block, (labels[0] ?? '').length + 4), ...lines].join('\n');
  });
  const words = options.sentences === false ? [] : told(changes);
  return [...blocks, legend(matrix, changes.size > 0), ...problems(matrix), ...words].join('\n');
}

/** Which columns fit side by side: each is two characters, and the last ones' names need room to their right. */
function blocksOf({ columns }: Matrix, labelWidth: number, width: number): number[][] {
  const blocks: number[][] = [];
  let block: number[] = [];
  for (const index of columns.keys()) {
    const widest = Math.max(...[...block, index].map((each, place) => place * 2 + nameOf(columns[each]).length));
    if (block.length > 0 && labelWidth + 6 + widest > width) {
      blocks.push(block);
      block = [];
    }
    block.push(index);
  }
  return [...blocks, block];
}

/** Each name stands on a line of its own over its column, with lines down from those above. */
function staircase(columns: readonly Column[], block: readonly number[], indent: number): string[] {
  return block.map((column, place) => {
    return `${' '.repeat(indent)}${'│ '.repeat(place)}${nameOf(columns[column])}`;
  });
}

function styled(cell: Cell | undefined, changed: boolean, { colour }: FormatOptions): string {
  const { green, red, yellow, dim, inverse } = pc.createColors(colour);
  const mark = markOf(cell);
  const symbol = SYMBOLS[mark];
  const colours = { allow: green, deny: red, only4: yellow, only6: yellow, error: yellow, self: dim, none: dim };
  if (!changed) return `${colours[mark](symbol)} `;
  return `${inverse(colours[mark](symbol))}*`;
}

export function markOf(cell: Cell | undefined): Mark {
  if (cell === undefined || cell === 'self') return 'self';
  const outcomes = [cell[4], cell[6]].filter((outcome) => outcome !== undefined);
  if (outcomes.length === 0) return 'none';
  if (outcomes.some(({ verdict }) => verdict === 'error')) return 'error';
  if (outcomes.every(({ verdict }) => verdict === 'allow')) return 'allow';
  if (outcomes.every(({ verdict }) => verdict === 'deny')) return 'deny';
  return cell[4]?.verdict === 'allow' ? 'only4' : 'only6';
}

/** By `row column`: what happened to pairs that were there before, as sentences. */
function changesOf(matrix: Matrix, before: Matrix | undefined): ReadonlyMap<string, string> {
  const changes = new Map<string, string>();
  if (before === undefined) return changes;
  const rows = new Map(before.rows.map((row, index) => [row, index]));
  const columns = new Map(before.columns.map((column, index) => [nameOf(column), index]));
  for (const [row, name] of matrix.rows.entries()) {
    for (const [column, target] of matrix.columns.entries()) {
      const old = before.cells[rows.get(name) ?? -1]?.[columns.get(nameOf(target)) ?? -1];
      if (old === undefined || markOf(old) === markOf(matrix.cells[row]?.[column])) continue;
      const now = LEGEND[markOf(matrix.cells[row]?.[column])];
      changes.set(`${row} ${column}`, `${name} → ${nameOf(target)}: ${LEGEND[markOf(old)]}, now ${now}`);
    }
  }
  return changes;
}

function legend({ cells }: Matrix, changed: boolean): string {
  const used = new Set(cells.flat().map(markOf));
  const marks = (Object.keys(SYMBOLS) as Mark[]).filter((mark) => used.has(mark) && mark !== 'none');
  return `  ${[...marks.map((mark) => `${SYMBOLS[mark]} ${LEGEND[mark]}`), ...(changed ? ['* changed'] : [])].join('   ')}`;
}

/** Each reason once, with the first pair that it befell. */
function problems({ rows, columns, cells }: Matrix): string[] {
  const reasons = new Map<string, string>();
  for (const [row, line] of cells.entries()) {
    for (const [column, cell] of line.entries()) {
      if (cell === 'self') continue;
      for (const outcome of [cell[4], cell[6]]) {
        if (outcome?.verdict !== 'error' || reasons.has(outcome.reason)) continue;
        reasons.set(outcome.reason, `  ! ${rows[row]} → ${nameOf(columns[column])}: ${outcome.reason}`);
      }
    }
  }
  return [...reasons.values()];
}

function told(changes: ReadonlyMap<string, string>): string[] {
  const lines = [...changes.values()].slice(0, CHANGES_TOLD).map((change) => `  * ${change}`);
  return changes.size > CHANGES_TOLD ? [...lines, `  * and ${changes.size - CHANGES_TOLD} more changes`] : lines;
}

function nameOf(column: Column | undefined): string {
  return column === undefined ? '' : columnName(column);
}

function longest(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => Math.max(most, length), 0);
}
