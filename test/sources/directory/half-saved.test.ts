/** Texts that parse and still are no whole save: what a file said before stays in force, and real edits are followed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Assembled, assemble } from '../../../src/sources/directory/assemble.ts';
import { LastGood } from '../../../src/sources/directory/last-good.ts';
import { namespace, pod, policy } from './manifest-text.ts';

/** One file, saved again and again. */
class File {
  readonly #lastGood = new LastGood();

  save(text: string): { objects: Assembled['objects']; warnings: string[] } {
    const files = [{ path: '/a.yaml', name: 'a.yaml', content: { text } }];
    const { manifests, warnings } = this.#lastGood.update({ files, unreadable: [] });
    return { objects: assemble(manifests, false).objects, warnings: warnings.map(({ message }) => message) };
  }
}

/** The names of the policies in force after each save. */
function policiesAfter(...texts: string[]): string[] {
  const file = new File();
  const { objects } = texts.map((text) => file.save(text)).at(-1) ?? file.save('');
  return [...objects.values()].filter(({ kind }) => kind === 'NetworkPolicy').map(({ name }) => name);
}

/** A policy as people write it, a field in each line. */
const long = (name: string, port = 8080): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${name}
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: ${port}
`;

const examples = new URL('../../../examples', import.meta.url).pathname;
const names = readdirSync(examples, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
const manifests = [
  ...names.map((name): [string, string] => [name, readFileSync(join(examples, name), 'utf8')]),
  [
    'lists',
    `apiVersion: v1\nkind: List\nitems:\n${pod('web').replace(/^/gm, '    ').replace('  a', '- a').trimEnd()}\n`,
  ],
  ['JSON', `${JSON.stringify({ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'web' } }, undefined, 2)}\n`],
  ['CRLF', [namespace('a'), long('b'), long('c')].join('---\n# next\n').replaceAll('\n', '\r\n')],
  ['without a final newline', [namespace('a'), long('b')].join('---\n').trimEnd()],
] as [string, string][];

describe('a beginning of what was there', () => {
  it.each(manifests)('%s: keeps every object in force, or removes whole documents at its end', (_, text) => {
    const file = new File();
    const whole = file.save(text);
    expect(whole.warnings).toEqual([]);
    const documents = text.split(/^(?=---)/m);
    const beginnings = documents.map((_, index) => new File().save(documents.slice(0, index + 1).join('')).objects);
    let removals = 0;
    for (let length = 0; length < text.length; length++) {
      const { objects, warnings } = file.save(text.slice(0, length));
      if (warnings.length > 0) {
        expect(objects, `${length} characters`).toEqual(whole.objects);
        continue;
      }
      expect(beginnings, `${length} characters`).toContainEqual(objects);
      if (objects.size < whole.objects.size) removals++;
      expect(file.save(text)).toEqual(whole);
    }
    expect(file.save(text)).toEqual(whole);
    expect(removals > 0).toBe(documents.length > 1);
  });

  it('of one document is never taken for a whole one', () => {
    const text = long('deny');
    const whole = new File().save(text).objects;
    for (let length = 0; length < text.length - 1; length++) {
      const file = new File();
      file.save(text);
      const { objects, warnings } = file.save(text.slice(0, length));
      expect({ length, objects, warned: warnings.length }).toEqual({ length, objects: whole, warned: 1 });
    }
  });

  it('is measured by the longest text, also when a save was seen up to the end of a document first', () => {
    const text = [long('a'), long('b'), long('c')].join('---\n');
    const one = long('a');
    const half = text.slice(0, one.length + 4 + one.indexOf('  ingress'));
    expect(policiesAfter(text, one)).toEqual(['a']);
    expect(policiesAfter(text, one, half)).toEqual(['a']);
    expect(policiesAfter(text, one, half, text)).toEqual(['a', 'b', 'c']);
  });
});

describe('half of an edited text', () => {
  const before = [long('a'), long('b')].join('---\n');
  const edited = (end: string): string => [long('a', 9090), end].join('---\n');
  const cases: [string, string, RegExp][] = [
    [
      'in a kind',
      edited('apiVersion: networking.k8s.io/v1\nkind: NetworkPol'),
      /line 1\d: holds an object without a name/,
    ],
    [
      'in a kind, behind the name',
      edited('metadata: { name: b }\napiVersion: networking.k8s.io/v1\nkind: NetworkPol\n'),
      /NetworkPol, which is no kind/,
    ],
    [
      'in an apiVersion, behind the kind',
      edited('metadata: { name: b }\nkind: NetworkPolicy\napiVersion: networking.k8s\n'),
      /no apiVersion of NetworkPolicy/,
    ],
    ['before a kind', edited('apiVersion: networking.k8s.io/v1\n'), /an object without a kind/],
    ['before an apiVersion', edited('kind: NetworkPolicy\n'), /an object without an apiVersion/],
    [
      'in a name’s key',
      edited('apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  na'),
      /an object without a name|line/,
    ],
    ['in the first key', edited('apiVersion'), /no object/],
    ['in a port', edited(long('b').replace('8080\n', '80')), /NetworkPolicy shop\/b has changed/],
    [
      'in a name',
      edited(long('b').slice(0, long('b').indexOf('namespace: shop')).trimEnd()),
      /valid NetworkPolicy shop\/b/,
    ],
    ['at its very beginning', '', /is empty/],
  ];
  it.each(cases)('%s', (_, text, reason) => {
    const file = new File();
    const whole = file.save(before);
    const { objects, warnings } = file.save(text);
    expect(objects).toEqual(whole.objects);
    expect(warnings).toEqual([expect.stringMatching(reason)]);
    expect(warnings).toEqual([expect.stringMatching(/stays in force$/)]);
    expect(file.save(edited(long('b'))).warnings).toEqual([]);
  });
});

describe('edits that are meant', () => {
  const ab = [long('a'), long('b')].join('---\n');
  const cases: [string, string[], string[]][] = [
    ['the last document goes', [ab, long('a')], ['a']],
    ['the last document goes, its marker stays', [ab, `${long('a')}---\n`], ['a']],
    ['the first document goes', [ab, long('b')], ['b']],
    ['all documents become comments', [ab, ab.replace(/^(?=.)/gm, '# ')], []],
    ['a document is added behind, without a newline', [ab, `${ab}---\n${long('c').trimEnd()}`], ['a', 'b', 'c']],
    ['the final newline goes', [ab, ab.trimEnd()], ['a', 'b']],
    ['a document goes where no newline ever was', [ab.trimEnd(), long('b').trimEnd()], ['b']],
    [
      'JSON in one line',
      [ab, '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "c"}}'],
      ['c'],
    ],
    [
      'other kinds',
      [
        ab,
        'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n---\napiVersion: x.io/v1\nkind: X\nmetadata: { name: a }\n',
      ],
      [],
    ],
    [
      'beside what never had a name',
      [`kind: Kustomization\n---\n${ab}`, `kind: Kustomization\n---\n${long('b')}`],
      ['b'],
    ],
    ['a file in which nothing was', ['# nothing yet\n', '# not'], []],
  ];
  it.each(cases)('%s', (_, texts, expected) => {
    const file = new File();
    expect(texts.map((text) => file.save(text)).at(-1)?.warnings).toEqual([]);
    expect(policiesAfter(...texts)).toEqual(expected);
  });

  it('the last rule goes: once a line `...` says that it ends there', () => {
    const shorter = policy('a').replace('{ podSelector: {} }', '\n  podSelector: {}\n  policyTypes: [Ingress]\n');
    const text = `${shorter}  ingress: [{}]\n`;
    const file = new File();
    const whole = file.save(text);
    expect(file.save(shorter)).toMatchObject({ objects: whole.objects, warnings: [expect.stringContaining('`...`')] });
    const { objects, warnings } = file.save(`${shorter}...\n`);
    expect(warnings).toEqual([]);
    expect([...objects.values()]).toContainEqual(expect.objectContaining({ name: 'a', ingress: [] }));
  });
});
