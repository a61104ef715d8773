/** Labels and the selectors over them, drawn from the same few words so that they meet. */
import fc from 'fast-check';
import type { LabelExpression, LabelSelector, Labels } from '../oracle/objects.ts';
import { NAMESPACES } from './world.ts';

type Words = Readonly<Record<string, readonly string[]>>;

/** `env` is a key of both kinds, `absent` one that nothing bears. */
const POD_WORDS = { app: ['web', 'api', 'db'], tier: ['front', 'back', ''], env: ['live', 'test'] } as const;
const NAMESPACE_WORDS = { team: ['red', 'blue'], env: ['live', 'test'] } as const;

export const podLabels: fc.Arbitrary<Labels> = labelsFrom(POD_WORDS);
export const namespaceLabels: fc.Arbitrary<Labels> = labelsFrom(NAMESPACE_WORDS);
export const podSelector = selectorFrom({ ...POD_WORDS, absent: ['any'] });
export const namespaceSelector = selectorFrom({
  ...NAMESPACE_WORDS,
  absent: ['any'],
  'kubernetes.io/metadata.name': NAMESPACES,
});

function labelsFrom(words: Words): fc.Arbitrary<Labels> {
  const model = Object.fromEntries(
    Object.entries(words).map(([key, values]) => [key, fc.option(fc.constantFrom(...values), { freq: 3 })]),
  );
  return fc.record(model).map((labels) => {
    const present = Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== null);
    return Object.fromEntries(present);
  });
}

function selectorFrom(words: Words): fc.Arbitrary<LabelSelector> {
  const pair = wordFrom(words).map(({ key, values }) => ({ matchLabels: { [key]: values[0] ?? '' } }));
  const expressions = fc.array(expressionFrom(words), { minLength: 1, maxLength: 2 });
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    { weight: 4, arbitrary: pair },
    { weight: 4, arbitrary: expressions.map((matchExpressions) => ({ matchExpressions })) },
    {
      weight: 1,
      arbitrary: fc.tuple(pair, expressions).map(([labels, matchExpressions]) => ({ ...labels, matchExpressions })),
    },
  );
}

function expressionFrom(words: Words): fc.Arbitrary<LabelExpression> {
  const valued = fc
    .tuple(fc.constantFrom('In' as const, 'NotIn' as const), wordFrom(words))
    .map(([operator, { key, values }]) => ({ key, operator, values }));
  const bare = fc
    .tuple(fc.constantFrom('Exists' as const, 'DoesNotExist' as const), fc.constantFrom(...Object.keys(words)))
    .map(([operator, key]) => ({ key, operator }));
  return fc.oneof({ weight: 3, arbitrary: valued }, { weight: 2, arbitrary: bare });
}

/** A key and one or two of its values. */
function wordFrom(words: Words): fc.Arbitrary<{ key: string; values: string[] }> {
  const choices = Object.entries(words).map(([key, values]) =>
    fc.record({
      key: fc.constant(key),
      values: fc.subarray([...values], { minLength: 1, maxLength: Math.min(2, values.length) }),
    }),
  );
  return fc.oneof(...choices);
}
