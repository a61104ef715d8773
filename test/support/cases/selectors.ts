/** Label selectors: matchLabels, the four operators, and how they are put together. */
import type { LabelSelector } from '../oracle/objects.ts';
import { allow, deny, type Expectation, policy, type SemanticCase } from './case.ts';
import { cast, pod } from './cast.ts';

/** Pods of shop that differ by labels only, beside the cast. */
const labelled = [
  pod('shop/blue', '1:21', { labels: { colour: 'blue', size: 'big' } }),
  pod('shop/green', '2:22', { labels: { colour: 'green', size: 'big' } }),
  pod('shop/blank', '1:23', { labels: { colour: '' } }),
  pod('shop/plain', '2:24'),
];

/** One ingress rule on db with this podSelector as its only peer. */
function selectorCase(name: string, podSelector: LabelSelector, expectations: Expectation[]): SemanticCase {
  const spec = { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [{ podSelector }] }] };
  return { name, manifests: [...cast, ...labelled, policy('shop/db', spec)], expectations };
}

function admits(from: string, why: string): Expectation {
  return allow(from, 'shop/db', '5432/TCP', why);
}

function refuses(from: string, why: string): Expectation {
  return deny(from, 'shop/db', '5432/TCP', why);
}

export const selectorCases: readonly SemanticCase[] = [
  selectorCase('All labels of matchLabels must match', { matchLabels: { colour: 'blue', size: 'big' } }, [
    admits('shop/blue', 'both labels'),
    refuses('shop/green', 'one of two'),
    refuses('shop/plain', 'none'),
  ]),
  selectorCase('matchLabels with an empty value asks for the key with that value', { matchLabels: { colour: '' } }, [
    admits('shop/blank', 'the key with an empty value'),
    refuses('shop/blue', 'the key with another value'),
    refuses('shop/plain', 'an absent key is not an empty value'),
  ]),
  selectorCase(
    'In matches one of the values',
    { matchExpressions: [{ key: 'colour', operator: 'In', values: ['blue', 'red'] }] },
    [
      admits('shop/blue', 'a listed value'),
      refuses('shop/green', 'another value'),
      refuses('shop/plain', 'no such key'),
    ],
  ),
  selectorCase(
    'NotIn matches other values and the absence of the key',
    { matchExpressions: [{ key: 'colour', operator: 'NotIn', values: ['blue', 'red'] }] },
    [
      refuses('shop/blue', 'a listed value'),
      admits('shop/green', 'another value'),
      admits('shop/blank', 'an empty value is another value'),
      admits('shop/plain', 'no such key'),
    ],
  ),
  selectorCase('Exists matches any value', { matchExpressions: [{ key: 'colour', operator: 'Exists' }] }, [
    admits('shop/blue', 'a value'),
    admits('shop/blank', 'an empty value'),
    refuses('shop/plain', 'no such key'),
  ]),
  selectorCase(
    'DoesNotExist matches the absence of the key',
    { matchExpressions: [{ key: 'colour', operator: 'DoesNotExist' }] },
    [
      refuses('shop/blue', 'a value'),
      refuses('shop/blank', 'an empty value is a value'),
      admits('shop/plain', 'no such key'),
      admits('shop/web', 'other keys do not matter'),
    ],
  ),
  selectorCase(
    'matchLabels and matchExpressions must all match',
    {
      matchLabels: { size: 'big' },
      matchExpressions: [
        { key: 'colour', operator: 'Exists' },
        { key: 'colour', operator: 'NotIn', values: ['green'] },
      ],
    },
    [
      admits('shop/blue', 'all three'),
      refuses('shop/green', 'not the third'),
      refuses('shop/blank', 'not the first'),
      refuses('shop/plain', 'not the first two'),
    ],
  ),
  selectorCase(
    'Expressions that contradict each other match nothing',
    {
      matchExpressions: [
        { key: 'colour', operator: 'Exists' },
        { key: 'colour', operator: 'DoesNotExist' },
      ],
    },
    [refuses('shop/blue', 'the second fails'), refuses('shop/plain', 'the first fails')],
  ),
  selectorCase(
    'A label key that is also a word of a programming language is just a key',
    { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
    [refuses('shop/plain', 'no pod has this label'), refuses('shop/blue', 'no pod has this label')],
  ),
  {
    name: 'Operators work on namespaces as on pods',
    manifests: [
      ...cast,
      pod('ghost/one', '2:25'),
      policy('shop/db', {
        podSelector: { matchLabels: { app: 'db' } },
        ingress: [
          {
            from: [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['shop'] }] } }],
          },
        ],
      }),
      policy('shop/api', {
        podSelector: { matchLabels: { app: 'api' } },
        ingress: [{ from: [{ namespaceSelector: { matchExpressions: [{ key: 'trusted', operator: 'Exists' }] } }] }],
      }),
    ],
    expectations: [
      allow('audit/scan', 'shop/db', '5432/TCP', 'team=audit'),
      allow('ghost/one', 'shop/db', '5432/TCP', 'no key team'),
      deny('shop/web', 'shop/db', '5432/TCP', 'team=shop'),
      allow('audit/scan', 'shop/api', '8081/TCP', 'trusted with an empty value exists'),
      deny('ghost/one', 'shop/api', '8081/TCP', 'no key trusted'),
    ],
  },
  {
    name: 'Operators work in the selector that says whom the policy isolates',
    manifests: [
      ...cast,
      ...labelled,
      policy('shop/isolate', {
        podSelector: {
          matchExpressions: [
            { key: 'colour', operator: 'NotIn', values: ['green'] },
            { key: 'app', operator: 'DoesNotExist' },
          ],
        },
      }),
    ],
    expectations: [
      deny('audit/scan', 'shop/blue', '80/TCP', 'selected'),
      deny('audit/scan', 'shop/plain', '80/TCP', 'selected: neither key'),
      allow('audit/scan', 'shop/green', '80/TCP', 'colour=green is not'),
      allow('audit/scan', 'shop/api', '8081/TCP', 'a pod with app is not'),
    ],
  },
];
