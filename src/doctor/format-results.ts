/** What the checks found -> text for a person: by group, aligned, coloured where asked for. */
import pc from 'picocolors';
import { type CheckStatus, GROUPS, type Result } from './check.ts';
import { countOf } from './examine.ts';

const WORDS: Readonly<Record<CheckStatus, string>> = {
  ok: 'ok',
  warning: 'warning',
  failure: 'FAILURE',
  unknown: 'unknown',
};
const STATUS_WIDTH = Math.max(...Object.values(WORDS).map((word) => word.length));

export function formatResults(results: readonly Result[], { colour }: { readonly colour: boolean }): string {
  const paint = pc.createColors(colour);
  const colours = { ok: paint.green, warning: paint.yellow, failure: paint.red, unknown: paint.dim };
  const idWidth = Math.max(...results.map(({ id }) => id.length));
  const indent = ' '.repeat(2 + STATUS_WIDTH + 2 + idWidth + 2);
  const lines = GROUPS.flatMap((group) => {
    const own = results.filter((result) => result.group === group);
    if (own.length === 0) return [];
    return [
      '',
      paint.bold(group),
      ...own.flatMap(({ id, status, found, means, todo }) => [
        `  ${colours[status](WORDS[status].padEnd(STATUS_WIDTH))}  ${id.padEnd(idWidth)}  ${found}`,
        ...(means === undefined ? [] : [`${indent}${paint.dim(means)}`]),
        ...(todo === undefined ? [] : [`${indent}→ ${todo}`]),
      ]),
    ];
  });
  return [...lines.slice(1), '', summary(results)].join('\n');
}

function summary(results: readonly Result[]): string {
  const unknown = countOf(results, 'unknown');
  const parts = [
    plural(countOf(results, 'failure'), 'failure'),
    plural(countOf(results, 'warning'), 'warning'),
    `${countOf(results, 'ok')} ok`,
    ...(unknown === 0 ? [] : [`${unknown} not known`]),
  ];
  return `${results.length} checks: ${parts.join(', ')}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
