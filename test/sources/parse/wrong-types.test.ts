/** A wrong type at every place of a policy and of what it speaks of: a warning that names object and field, and nothing admitted. */
import { expect, it } from 'vitest';
import { parseObject } from '../../../src/sources/parse/object.ts';

type Path = readonly (string | number)[];

const policy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    podSelector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }] },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      {
        from: [
          { podSelector: { matchLabels: { app: 'api' } }, namespaceSelector: {} },
          { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
        ],
        ports: [{ protocol: 'TCP', port: 80, endPort: 90 }, { port: 'http' }],
      },
    ],
    egress: [{ to: [{ namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Exists' }] } }] }],
  },
};
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
  spec: {
    nodeName: 'n',
    hostNetwork: false,
    containers: [{ ports: [{ name: 'http', containerPort: 80 }] }],
  },
  status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
};
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } };

/** What cannot stand where this value stands. */
function wrongFor(value: unknown): unknown[] {
  if (Array.isArray(value)) return [5, 'text', true, { a: 1 }];
  if (typeof value === 'object') return [5, 'text', true, [1]];
  if (typeof value === 'string') return [true, ['a'], { a: 'b' }, Number.NaN];
  return typeof value === 'number' ? [true, [80], { a: 80 }, 'a b'] : [5, 'text', [true], { a: true }];
}

function* placesIn(value: unknown, path: Path = []): Generator<readonly [Path, unknown]> {
  if (path.length > 0) yield [path, value];
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    yield* placesIn(inner, [...path, Array.isArray(value) ? Number(key) : key]);
  }
}

function replaced(value: unknown, [head, ...rest]: Path, by: unknown): unknown {
  if (head === undefined) return by;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[head] = replaced(copy[head], rest, by);
  return copy;
}

function textOf(path: Path): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .slice(1);
}

const cases = [policy, pod, namespace].flatMap((object) =>
  [...placesIn(object)].flatMap(([path, value]) =>
    wrongFor(value).map((wrong) => ({
      object,
      path,
      wrong,
      name: `${object.kind} ${textOf(path)}: ${String(JSON.stringify(wrong))}`,
    })),
  ),
);

it('there are hundreds of places and types', () => {
  expect(cases.length).toBeGreaterThan(200);
});

it('each is warned of, by object and field, and admits nothing', () => {
  const quiet: string[] = [];
  const elsewhere: string[] = [];
  const open: string[] = [];
  for (const { object, path, wrong, name } of cases) {
    const { parsed, warnings } = parseObject(replaced(object, path, wrong));
    const place = textOf(path);
    const near = ({ field }: { field: string }) => place.startsWith(field) || field.startsWith(place);
    if (warnings.length === 0 && parsed.type !== 'other') quiet.push(name);
    else if (warnings.length > 0 && !warnings.some(near)) elsewhere.push(`${name}: ${warnings[0]?.field}`);
    if (warnings.some((warning) => warning.object === '')) elsewhere.push(`${name}: no object`);
    if (parsed.type !== 'object' || parsed.object.kind !== 'NetworkPolicy') continue;
    if (parsed.object.ingress.length + parsed.object.egress.length > 0) open.push(name);
  }
  expect({ quiet, elsewhere, open }).toEqual({ quiet: [], elsewhere: [], open: [] });
});
