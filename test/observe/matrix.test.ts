/** The matrix by computation, as text, and what differs between two. */
import { describe, expect, test } from 'vitest';
import { computeMatrix } from '../../src/observe/compute-matrix.ts';
import { formatMatrix } from '../../src/observe/format-matrix.ts';
import { compareMatrices, entriesOf, type Matrix } from '../../src/observe/matrix.ts';
import { policy } from '../support/cases/case.ts';
import { cast, ground, NODE1, pod } from '../support/cases/cast.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { reachabilityOf } from './raw.ts';

const denyDb = policy('shop/db', {
  podSelector: { matchLabels: { app: 'db' } },
  ingress: [
    { from: [{ podSelector: { matchLabels: { app: 'api' } } }] },
    { from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] },
  ],
});

function matrixOf(...objects: ClusterObject[]): Matrix {
  return computeMatrix(reachabilityOf(objects));
}

test('every pod and somebody outside reach, or do not, every port of a pod', () => {
  const matrix = matrixOf(...cast, denyDb);
  expect(formatMatrix(matrix, { colour: false, width: 120 })).toBe(`              audit/web 80/tcp
              │ shop/api 8081/tcp
              │ │ shop/db 5432/tcp
              │ │ │ shop/web 8080/tcp
  audit/scan  ✓ ✓ 4 ✓
  audit/web   · ✓ 4 ✓
  shop/api    ✓ · ✓ ✓
  shop/db     ✓ ✓ · ✓
  shop/web    ✓ ✓ 4 ·
  outside     ✓ ✓ 4 ✓
  ✓ reached   4 reached over IPv4 only   · the pod itself`);
});

test('a pod of one family is asked in that one; hostNetwork pods and ports named twice count once', () => {
  const six = pod('shop/six', '1:61', { podIPs: ['fd00:10:244::61'] });
  const four = pod('shop/four', '2:62', {
    podIPs: ['10.244.1.62'],
    ports: [
      { name: 'a', containerPort: 80 },
      { name: 'b', containerPort: 80 },
    ],
  });
  const host = pod('shop/host', '1:0', { hostNetwork: true, podIPs: [NODE1.ipv4], ports: [{ containerPort: 9100 }] });
  const entries = [...entriesOf(matrixOf(...ground, six, four, host))];
  expect(entries.map(({ from, to, port, family }) => `${from} ${to}:${port} ${family}`)).toEqual([
    'shop/four shop/host:9100 IPv4',
    'shop/host shop/four:80 IPv4',
    'shop/six shop/host:9100 IPv6',
    'outside shop/four:80 IPv4',
    'outside shop/host:9100 IPv4',
    'outside shop/host:9100 IPv6',
  ]);
});

test('a table of 20 pods and 30 ports is no wider than 120 characters', () => {
  const pods = Array.from({ length: 20 }, (_, index) =>
    pod(`some-namespace/server-${index}`, `1:${index + 20}`, {
      ports: Array.from({ length: index < 10 ? 2 : 1 }, (_, port) => ({ containerPort: 8080 + port })),
    }),
  );
  const lines = formatMatrix(matrixOf(...ground, ...pods), { colour: false, width: 120 }).split('\n');
  expect(lines.length).toBe(30 + 21 + 1);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(120);
});

describe('a comparison', () => {
  test('names each verdict that differs, denials first', () => {
    const open = policy('shop/api', { podSelector: { matchLabels: { app: 'api' } } });
    const { changes, compared } = compareMatrices(matrixOf(...cast, open), matrixOf(...cast, denyDb));
    expect(changes.map(({ from, to, family, before, after }) => `${from} ${to} ${family} ${before} ${after}`)).toEqual([
      'audit/scan shop/db IPv6 allow deny',
      'audit/web shop/db IPv6 allow deny',
      'shop/web shop/db IPv6 allow deny',
      'outside shop/db IPv6 allow deny',
      ...['audit/scan', 'audit/web', 'shop/db', 'shop/web', 'outside'].flatMap((from) => [
        `${from} shop/api IPv4 deny allow`,
        `${from} shop/api IPv6 deny allow`,
      ]),
    ]);
    expect(compared).toBe(2 * (6 * 4 - 4));
  });

  test('says nothing of what is in one of the two only, but its name', () => {
    const added = pod('shop/new', '1:70', { ports: [{ containerPort: 1 }] });
    expect(compareMatrices(matrixOf(...cast), matrixOf(...cast, added))).toMatchObject({
      changes: [],
      onlyBefore: [],
      onlyAfter: ['shop/new', 'shop/new 1/tcp'],
    });
  });
});
