import { describe, expect, it } from 'vitest';
import { ManifestError, parseManifest } from '../../../src/sources/directory/manifest.ts';

const policy = (spec: string): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web, namespace: shop }
spec:
${spec}`;

function errorOf(text: string): ManifestError {
  try {
    parseManifest(text, 'a.yaml');
  } catch (error) {
    if (error instanceof ManifestError) return error;
  }
  throw new Error('parsed');
}

it('finds the objects of all documents, lists and typed lists, with their lines', () => {
  const { objects, warnings } = parseManifest(
    `# a comment
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Namespace
    metadata: { name: a }
  - apiVersion: v1
    kind: PodList
    items:
      - metadata: { name: web }
---
apiVersion: apps/v1
kind: DeploymentList
items: []
`,
    'a.yaml',
  );
  expect(warnings).toEqual([]);
  expect(objects.map(({ origin, parsed }) => [parsed.type, origin.document, origin.line])).toEqual([
    ['object', 1, 2],
    ['object', 3, 10],
    ['pod', 3, 16],
  ]);
  expect(objects[2]?.parsed).toMatchObject({
    object: { name: 'web', origin: { file: 'a.yaml', document: 3, line: 16 } },
  });
});

it('gives each rule of a policy its line', () => {
  const spec = `  podSelector: {}
  ingress:
    - from: [{ podSelector: {} }]
    -
      ports:
        - port: 80
  egress: [{}]`;
  const [found] = parseManifest(policy(spec), 'a.yaml').objects;
  expect(found?.parsed).toMatchObject({ object: { ingress: [{ line: 7 }, { line: 9 }], egress: [{ line: 11 }] } });
});

it('reads JSON, large files too', () => {
  const pods = Array.from({ length: 20_000 }, (_, index) => ({ metadata: { name: `web-${index}` } }));
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'PodList', items: pods });
  expect(text.length).toBeGreaterThan(500_000);
  expect(parseManifest(text + ' '.repeat(2 ** 20), 'a.json').objects).toHaveLength(20_000);
  expect(
    parseManifest('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}', 'a.json').objects,
  ).toHaveLength(1);
});

it('takes aliases and merge keys for what they stand for', () => {
  const spec = `  podSelector: &web { matchLabels: { app: web } }
  ingress:
    - from:
        - podSelector: *web
        - podSelector: { <<: *web }`;
  const [found] = parseManifest(policy(spec), 'a.yaml').objects;
  const podSelector = { requirements: [{ key: 'app', operator: 'In', values: ['web'] }] };
  expect(found?.parsed).toMatchObject({
    object: { podSelector, ingress: [{ peers: [{ podSelector }, { podSelector }] }] },
  });
});

describe('an alias inside of what it names', () => {
  const cases: [string, string, string, string][] = [
    ['in a rule closes the policy', policy('  ingress: &a\n    - from: *a'), 'spec.ingress[0].from', 'object'],
    ['in annotations closes it too', policy('  x: &a { y: [*a] }'), 'spec.x.y[0]', 'object'],
    [
      'in the podSelector leaves it out',
      policy('  podSelector: &a { matchLabels: *a }'),
      'spec.podSelector.matchLabels',
      'invalid',
    ],
    [
      'leaves other objects out',
      'apiVersion: v1\nkind: Pod\nmetadata: &a { name: a, annotations: *a }',
      'metadata.annotations',
      'invalid',
    ],
  ];
  it.each(cases)('%s', (_, text, field, type) => {
    const { objects, warnings } = parseManifest(text, 'a.yaml');
    expect(objects.map(({ parsed }) => parsed.type)).toEqual([type]);
    expect(warnings.map((warning) => warning.field)).toContain(field);
    if (type === 'object') expect(objects[0]?.parsed).toMatchObject({ object: { ingress: [] } });
  });

  it('concerns only the object of a list that it stands in', () => {
    const text = `apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Pod, metadata: { name: a } }
  - { apiVersion: v1, kind: Pod, metadata: { name: b, annotations: &x [*x] } }`;
    const { objects, warnings } = parseManifest(text, 'a.yaml');
    expect(objects.map(({ parsed }) => parsed.type)).toEqual(['pod', 'invalid']);
    expect(warnings).toMatchObject([{ object: 'Pod default/b', field: 'metadata.annotations[0]' }]);
  });
});

describe('what is no YAML is an error with its line', () => {
  const bomb = `a: &a [${'x,'.repeat(20)}]\nb: &b [${'*a,'.repeat(20)}]\nc: &c [${'*b,'.repeat(20)}]\nd: [${'*c,'.repeat(20)}]`;
  const cases: [string, string, number | undefined][] = [
    ['an open bracket', 'kind: Pod\nspec: [', 2],
    ['a tab for indentation', 'spec:\n\t- a', 2],
    ['a key twice', 'kind: Pod\nkind: Pod', 2],
    ['a fault in a later document', 'kind: Pod\n---\nkind: Pod\n---\na: b: c', 5],
    ['an alias of nothing', 'a: *b', undefined],
    ['a bomb of aliases', bomb, undefined],
    ['values without end', '['.repeat(50_000), 1],
    ['a list inside of itself', 'apiVersion: v1\nkind: List\nitems: &a [{ kind: List, items: *a }]', 1],
  ];
  it.each(cases)('%s', (_, text, line) => {
    const error = errorOf(text);
    expect(error).toMatchObject({ code: 'MANIFEST', file: 'a.yaml', line });
  });
});

it('texts without objects are valid', () => {
  for (const text of ['', '# nothing', '---\n---\n', 'null']) expect(parseManifest(text, 'a.yaml').objects).toEqual([]);
  for (const text of ['5', 'text', '[]', '{}']) {
    expect(parseManifest(text, 'a.yaml').objects.map(({ parsed }) => parsed.type)).toEqual(['invalid']);
  }
});

it('a policy of 10,000 rules is read whole', () => {
  const texts = Array.from({ length: 10_000 }, (_, index) => `    - ports: [{ port: ${index + 1} }]`);
  const [found] = parseManifest(policy(`  ingress:\n${texts.join('\n')}`), 'a.yaml').objects;
  const rules = Array.from({ length: 10_000 }, (_, index) => ({ line: index + 6 }));
  expect(found?.parsed).toMatchObject({ type: 'object', object: { ingress: rules } });
});
