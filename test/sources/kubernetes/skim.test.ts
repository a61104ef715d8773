import fc from 'fast-check';
import { expect, test } from 'vitest';
import { localPod } from '../../../bench/scale/cluster.ts';
import { resourcesFor } from '../../../src/sources/kubernetes/resources.ts';
import { type Shape, skim } from '../../../src/sources/kubernetes/skim.ts';
import { parseObject } from '../../../src/sources/parse/object.ts';

const shape: Shape = { fields: { a: 'all', b: { fields: { c: 'all' } }, d: { each: { fields: { a: 'all' } } } } };

/** What `skim` is to leave, of the value itself. */
function kept(value: unknown, of: Shape): unknown {
  if (typeof of === 'string' || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return 'each' in of ? value.map((one) => kept(one, of.each)) : value;
  if (!('fields' in of)) return value;
  const fields = Object.entries(value).flatMap(([key, one]) => {
    const inner = Object.hasOwn(of.fields, key) ? of.fields[key] : undefined;
    return inner === undefined ? [] : [[key, kept(one, inner)]];
  });
  return Object.fromEntries(fields);
}

const key = fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.string({ unit: 'binary', maxLength: 4 }));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));

test('what is kept is what the whole value has there, whatever the rest is', () => {
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t'), (whole, indent) => {
      const left = skim(Buffer.from(JSON.stringify(whole, undefined, indent)), shape)?.text;
      // One with escapes in a name is left to a whole parse.
      fc.pre(left !== undefined);
      expect(JSON.parse(left as string)).toEqual(JSON.parse(JSON.stringify(kept(whole, shape))));
    }),
    { numRuns: 2000 },
  );
});

test('what is cut off anywhere is not taken for whole', () => {
  const whole = JSON.stringify({
    a: [1, { x: '}' }],
    z: { y: ['"', '\\'] },
    b: { c: -1.5e3, q: null },
    d: [{ a: true, e: 'é' }],
  });
  for (let length = 0; length < whole.length; length++) {
    const left = skim(Buffer.from(whole.slice(0, length)), shape)?.text;
    if (left !== undefined) expect(() => JSON.parse(left)).toThrow();
  }
  expect(JSON.parse(skim(Buffer.from(whole), shape)?.text as string)).toEqual(kept(JSON.parse(whole), shape));
});

test.each(['{"a":1}}', '{"a":1} x', '{"a" 1}', '{a:1}', '{"a":1,}', '[1 2]', '{"\\u0061":1}', '', ' '])(
  'what is not plain is left to a whole parse: %s',
  (text) => {
    const left = skim(Buffer.from(text), shape)?.text;
    if (left !== undefined) expect(() => JSON.parse(left)).toThrow();
  },
);

test('what is put aside is no part of the text', () => {
  const aside: Shape = { fields: { a: 'aside', b: { fields: { c: 'aside' } }, d: 'all' } };
  const skimmed = (value: object) => skim(Buffer.from(JSON.stringify(value)), aside);
  expect(skimmed({ a: 'x"y', d: 1 })).toEqual({ text: '{"d":1}', aside: '"x\\"y"' });
  expect(skimmed({ b: { c: [1] }, d: 1 })).toEqual({ text: '{"b":{},"d":1}', aside: '[1]' });
  expect(skimmed({ d: 1 })).toEqual({ text: '{"d":1}' });
});

test('of a pod everything is kept that is looked at', () => {
  const resource = resourcesFor('node').find(({ kind }) => kind === 'Pod');
  const size = { pods: 10, namespaces: 2, policies: 2, local: 2, families: [4, 6] as const };
  const pod: Record<string, unknown> = { ...localPod(1, size), apiVersion: 'v1', kind: 'Pod' };
  const sidecar = { name: 'i', restartPolicy: 'Always', ports: [{ containerPort: 5, name: 'five' }] };
  const more = { ...pod, spec: { ...(pod.spec as object), hostNetwork: true, initContainers: [sidecar] } };
  for (const one of [pod, more]) {
    const text = JSON.stringify(one);
    const left = skim(Buffer.from(text), resource?.kept as Shape)?.text as string;
    expect(left.length).toBeLessThan(text.length / 3);
    const { owner: _, ...parsed } = parseObject(one).parsed as { owner?: string };
    expect(parseObject(JSON.parse(left))).toEqual({ parsed, warnings: [] });
  }
});
