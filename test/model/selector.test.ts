import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Requirement, Selector } from '../../src/model/cluster.ts';
import { matches, selectorText } from '../../src/model/selector.ts';

const select = (...requirements: Requirement[]): Selector => ({ requirements });

describe('a selector matches labels', () => {
  const cases: [string, Requirement, Record<string, string>, boolean][] = [
    ['In with the value', { key: 'app', operator: 'In', values: ['web', 'api'] }, { app: 'api' }, true],
    ['In with another value', { key: 'app', operator: 'In', values: ['web'] }, { app: 'api' }, false],
    ['In without the label', { key: 'app', operator: 'In', values: ['web'] }, {}, false],
    ['In with the empty value', { key: 'app', operator: 'In', values: [''] }, { app: '' }, true],
    ['NotIn with the value', { key: 'app', operator: 'NotIn', values: ['web'] }, { app: 'web' }, false],
    ['NotIn with another value', { key: 'app', operator: 'NotIn', values: ['web'] }, { app: 'api' }, true],
    ['NotIn without the label', { key: 'app', operator: 'NotIn', values: ['web'] }, {}, true],
    ['Exists', { key: 'app', operator: 'Exists' }, { app: '' }, true],
    ['Exists without the label', { key: 'app', operator: 'Exists' }, {}, false],
    ['DoesNotExist', { key: 'app', operator: 'DoesNotExist' }, { app: 'x' }, false],
    ['DoesNotExist without the label', { key: 'app', operator: 'DoesNotExist' }, {}, true],
    ['a key that every object inherits', { key: 'constructor', operator: 'Exists' }, {}, false],
  ];
  it.each(cases)('%s', (_, requirement, labels, expected) => {
    expect(matches(select(requirement), labels)).toBe(expected);
  });

  it('everything without requirements, and only what fulfils all of several', () => {
    expect(matches(select(), {})).toBe(true);
    const both = select({ key: 'a', operator: 'Exists' }, { key: 'b', operator: 'In', values: ['1'] });
    expect(matches(both, { a: '', b: '1' })).toBe(true);
    expect(matches(both, { a: '' })).toBe(false);
  });
});

describe('the text of a selector', () => {
  it('shows every operator, sorted', () => {
    const selector = select(
      { key: 'team', operator: 'In', values: ['a'] },
      { key: 'app', operator: 'In', values: ['web', 'db', 'web'] },
      { key: 'env', operator: 'NotIn', values: ['prod'] },
      { key: 'legacy', operator: 'DoesNotExist' },
      { key: 'owner', operator: 'Exists' },
    );
    expect(selectorText(selector)).toBe('{!legacy,app in (db,web),env notin (prod),owner,team=a}');
    expect(selectorText(select())).toBe('{}');
  });

  const key = fc.constantFrom('a', 'b', 'x.io/a');
  const values = fc.array(fc.constantFrom('', '1', '2'), { minLength: 1, maxLength: 3 });
  const requirement: fc.Arbitrary<Requirement> = fc.oneof(
    fc.record({ key, operator: fc.constantFrom('In' as const, 'NotIn' as const), values }),
    fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
  );
  const requirements = fc.array(requirement, { maxLength: 4 });
  const labels = fc.dictionary(key, fc.constantFrom('', '1', '2', '3'));

  it('is the same for every order and repetition', () => {
    fc.assert(
      fc.property(requirements, (list) => {
        expect(selectorText(select(...list.toReversed(), ...list))).toBe(selectorText(select(...list)));
      }),
    );
  });

  it('is shared only by selectors that match the same labels', () => {
    fc.assert(
      fc.property(requirements, requirements, fc.array(labels, { maxLength: 8 }), (one, other, worlds) => {
        if (selectorText(select(...one)) !== selectorText(select(...other))) return;
        for (const world of worlds) {
          expect(matches(select(...one), world)).toBe(matches(select(...other), world));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
