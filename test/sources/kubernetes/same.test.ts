import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSame } from '../../../src/sources/kubernetes/same.ts';

const fields = fc.dictionary(fc.constantFrom('a', 'b', 'toString', '__proto__'), fc.integer({ max: 1 }), {
  noNullPrototype: true,
});
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, undefined, Number.NaN, 0, 1, '', 'a', true, new Set([1]), new Map(), new Set([2])),
    fields,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

test('says what a comparison of everything says', () => {
  fc.assert(
    fc.property(value, value, (a, b) => {
      expect(isSame(a, b)).toBe(isDeepStrictEqual(a, b));
      expect(isSame(a, structuredClone(a))).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  [{ a: undefined }, {}],
  [{ a: undefined }, { b: undefined }],
  [{ a: 1, b: 2 }, { a: 1 }],
  [[], {}],
  [['a'], { 0: 'a' }],
  [{ toString: 1 }, {}],
  [null, {}],
])('%o is not %o', (a, b) => {
  expect([isSame(a, b), isSame(b, a)]).toEqual([false, false]);
});
