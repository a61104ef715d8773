import { describe, expect, it } from 'vitest';
import { formatMatrix } from '../../src/observe/format-matrix.ts';
import type { Cell, Matrix } from '../../src/observe/matrix.ts';

const allow: Cell = { 4: { verdict: 'allow' }, 6: { verdict: 'allow' } };
const deny: Cell = { 4: { verdict: 'deny' }, 6: { verdict: 'deny' } };
const plain = { colour: false, width: 120 };

function matrix(cells: readonly (readonly Cell[])[]): Matrix {
  const columns = [
    { pod: 'shop/api', port: 8080, protocol: 'TCP' as const },
    { pod: 'shop/dns', port: 53, protocol: 'UDP' as const },
  ];
  return { rows: ['shop/web', 'outside'], columns, cells };
}

describe('a matrix as text', () => {
  it('names each column over its marks', () => {
    expect(
      formatMatrix(
        matrix([
          [allow, deny],
          ['self', {}],
        ]),
        plain,
      ).split('\n'),
    ).toEqual([
      '            shop/api 8080/tcp',
      '            │ shop/dns 53/udp',
      '  shop/web  ✓ ✗',
      '  outside   ·',
      '  ✓ reached   ✗ dropped   · the pod itself',
    ]);
  });

  it('shows when the families differ, and why there is no verdict', () => {
    const text = formatMatrix(
      matrix([
        [
          { 4: { verdict: 'allow' }, 6: { verdict: 'deny' } },
          { 4: { verdict: 'deny' }, 6: { verdict: 'allow' } },
        ],
        [{ 6: { verdict: 'allow' } }, { 4: { verdict: 'error', reason: 'no route' } }],
      ]),
      plain,
    );
    expect(text).toContain('shop/web  4 6');
    expect(text).toContain('outside   ✓ !');
    expect(text).toContain('! outside → shop/dns 53/udp: no route');
  });

  it('marks what changed, and says it in words', () => {
    const before = matrix([
      [allow, allow],
      [allow, deny],
    ]);
    const now = matrix([
      [deny, allow],
      [allow, deny],
    ]);
    const text = formatMatrix(now, { ...plain, before });
    expect(text).toContain('shop/web  ✗*✓\n');
    expect(text).toContain('* shop/web → shop/api 8080/tcp: reached, now dropped');
    expect(text.match(/\*/g)).toHaveLength(3);
    expect(formatMatrix(now, { ...plain, before: now })).not.toContain('*');
  });

  it('does not call a pair changed that was not there before', () => {
    const before = { ...matrix([]), rows: [], cells: [] };
    expect(
      formatMatrix(
        matrix([
          [allow, deny],
          [deny, deny],
        ]),
        { ...plain, before },
      ),
    ).not.toContain('*');
  });

  it('is coloured when asked to', () => {
    const text = formatMatrix(
      matrix([
        [allow, deny],
        ['self', allow],
      ]),
      { ...plain, colour: true },
    );
    expect(text).toContain('\u001b[32m✓');
    expect(text).toContain('\u001b[31m✗');
  });

  it('keeps 20 pods and 30 ports within 120 columns, in blocks', () => {
    const rows = Array.from({ length: 20 }, (_, index) => `production/frontend-${index}`);
    const columns = Array.from({ length: 30 }, (_, index) => {
      return { pod: rows[index % 20] as string, port: 8000 + index, protocol: 'TCP' as const };
    });
    const text = formatMatrix({ rows, columns, cells: rows.map(() => columns.map(() => allow)) }, plain);
    const lines = text.split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(lines.filter((line) => line.includes('tcp'))).toHaveLength(30);
    expect(lines.filter((line) => line.startsWith('  production/frontend-7 '))).toHaveLength(1);
  });

  it('says when there is nothing to ask', () => {
    expect(formatMatrix({ rows: ['outside'], columns: [], cells: [[]] }, plain)).toContain('No pod has a port');
  });
});
