import { describe, expect, it } from 'vitest';
import type { NetworkPolicy } from '../../../src/model/cluster.ts';
import { parseObject } from '../../../src/sources/parse/object.ts';

const policy = (spec: unknown, metadata: unknown = { name: 'web', namespace: 'shop' }): unknown => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata,
  spec,
});

/** The policy, and the fields that are at fault. */
function parse(value: unknown): { policy: NetworkPolicy | undefined; fields: string[] } {
  const { parsed, warnings } = parseObject(value);
  const object = parsed.type === 'object' && parsed.object.kind === 'NetworkPolicy' ? parsed.object : undefined;
  return { policy: object, fields: warnings.map((warning) => warning.field) };
}

const rulesOf = (rule: unknown): unknown => policy({ podSelector: {}, ingress: [{}, rule] });
const peerOf = (peer: unknown): unknown => rulesOf({ from: [{ podSelector: {} }, peer] });
const portOf = (port: unknown): unknown => rulesOf({ ports: [{ port: 1 }, port] });
const blockOf = (ipBlock: unknown): unknown => peerOf({ ipBlock });
const expressionOf = (expression: unknown): unknown => peerOf({ podSelector: { matchExpressions: [expression] } });

it('isolates in both directions when a misspelt section hides which was meant', () => {
  const { policy: read, fields } = parse(policy({ podSelector: {}, egres: [{}] }));
  expect(fields).toEqual(['spec.egres']);
  expect(read).toMatchObject({ policyTypes: ['ingress', 'egress'], ingress: [], egress: [] });
});

it('tells once of a spec that is no object', () => {
  for (const spec of [[], 'text', 5]) expect(parse(policy(spec))).toEqual({ policy: undefined, fields: ['spec'] });
});

describe('a valid policy', () => {
  it('is read with the defaults of the API', () => {
    const { policy: read, fields } = parse(
      policy(
        {
          podSelector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'x.io/tier', operator: 'Exists' }] },
          ingress: [
            {
              from: [{ namespaceSelector: {} }],
              ports: [{ port: 80 }, { port: 8000, endPort: 8080, protocol: 'UDP' }],
            },
            { from: [{ ipBlock: { cidr: '10.1.2.3/8', except: ['10.1.0.1/16'] } }], ports: [{ port: 'http' }, {}] },
            {},
          ],
        },
        { name: 'web' },
      ),
    );
    expect(fields).toEqual([]);
    expect(read).toEqual({
      kind: 'NetworkPolicy',
      namespace: 'default',
      name: 'web',
      podSelector: {
        requirements: [
          { key: 'app', operator: 'In', values: ['web'] },
          { key: 'x.io/tier', operator: 'Exists' },
        ],
      },
      policyTypes: ['ingress'],
      ingress: [
        {
          peers: [{ kind: 'pods', namespaceSelector: { requirements: [] } }],
          ports: [
            { kind: 'range', protocol: 'TCP', from: 80, to: 80 },
            { kind: 'range', protocol: 'UDP', from: 8000, to: 8080 },
          ],
        },
        {
          peers: [{ kind: 'ipBlock', cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }],
          ports: [
            { kind: 'named', protocol: 'TCP', name: 'http' },
            { kind: 'range', protocol: 'TCP', from: 0, to: 65535 },
          ],
        },
        { peers: [], ports: [] },
      ],
      egress: [],
    });
  });

  const types: [string, unknown, string[]][] = [
    ['absent', { podSelector: {} }, ['ingress']],
    ['empty, with egress rules', { policyTypes: [], egress: [{}] }, ['ingress', 'egress']],
    ['absent, with an empty egress list', { egress: [] }, ['ingress']],
    ['absent, with egress null', { egress: null }, ['ingress']],
    ['Egress alone', { policyTypes: ['Egress'], ingress: [{}] }, ['egress']],
    ['both, in any order', { policyTypes: ['Egress', 'Ingress'] }, ['ingress', 'egress']],
    ['absent with the whole spec', undefined, ['ingress']],
  ];
  it.each(types)('policyTypes %s', (_, spec, expected) => {
    expect(parse(policy(spec)).policy?.policyTypes).toEqual(expected);
  });

  it('takes null lists for empty ones', () => {
    const { policy: read, fields } = parse(
      policy({ podSelector: null, ingress: [{ from: null, ports: null }], egress: null }),
    );
    expect(fields).toEqual([]);
    expect(read?.ingress).toEqual([{ peers: [], ports: [] }]);
  });
});

describe('a fault in the rules is named, and the policy admits nothing', () => {
  const faults: [string, unknown, string][] = [
    ['rules that are no list', policy({ ingress: {} }), 'spec.ingress'],
    ['a rule that is null', policy({ ingress: [null] }), 'spec.ingress[0]'],
    ['a rule that is text', policy({ ingress: ['all'] }), 'spec.ingress[0]'],
    ['an egress rule', policy({ egress: [{ to: [{}] }] }), 'spec.egress[0].to[0]'],
    ['peers that are no list', rulesOf({ from: { podSelector: {} } }), 'spec.ingress[1].from'],
    ['a peer without anything', peerOf({}), 'spec.ingress[1].from[1]'],
    ['a peer of nulls', peerOf({ podSelector: null, ipBlock: null }), 'spec.ingress[1].from[1]'],
    ['a peer that is null', peerOf(null), 'spec.ingress[1].from[1]'],
    [
      'ipBlock beside a selector',
      peerOf({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }),
      'spec.ingress[1].from[1]',
    ],
    ['a misspelt from', rulesOf({ form: [{ podSelector: {} }] }), 'spec.ingress[1].form'],
    ['to in an ingress rule', rulesOf({ to: [{ podSelector: {} }] }), 'spec.ingress[1].to'],
    [
      'a misspelt selector',
      peerOf({ podSelector: {}, nameSpaceSelector: {} }),
      'spec.ingress[1].from[1].nameSpaceSelector',
    ],
    ['a misspelt except', blockOf({ cidr: '10.0.0.0/8', excepts: [] }), 'spec.ingress[1].from[1].ipBlock.excepts'],
    ['a misspelt endPort', portOf({ port: 1, endport: 2 }), 'spec.ingress[1].ports[1].endport'],
    [
      'a misspelt matchLabels',
      peerOf({ podSelector: { matchlabels: {} } }),
      'spec.ingress[1].from[1].podSelector.matchlabels',
    ],
    [
      'a field of no expression',
      expressionOf({ key: 'a', operator: 'Exists', value: 'b' }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].value',
    ],
    ['a block without cidr', blockOf({}), 'spec.ingress[1].from[1].ipBlock.cidr'],
    ['a wrong cidr', blockOf({ cidr: '10.0.0.0/33' }), 'spec.ingress[1].from[1].ipBlock.cidr'],
    ['an address for a cidr', blockOf({ cidr: '10.0.0.1' }), 'spec.ingress[1].from[1].ipBlock.cidr'],
    ['a number for a cidr', blockOf({ cidr: 10 }), 'spec.ingress[1].from[1].ipBlock.cidr'],
    ['a cidr with leading zeros', blockOf({ cidr: '010.0.0.0/8' }), 'spec.ingress[1].from[1].ipBlock.cidr'],
    [
      'an except outside',
      blockOf({ cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '11.0.0.0/16'] }),
      'spec.ingress[1].from[1].ipBlock.except[1]',
    ],
    [
      'an except of the same size',
      blockOf({ cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] }),
      'spec.ingress[1].from[1].ipBlock.except[0]',
    ],
    [
      'a larger except',
      blockOf({ cidr: '10.1.0.0/16', except: ['10.0.0.0/8'] }),
      'spec.ingress[1].from[1].ipBlock.except[0]',
    ],
    [
      'an except of the other family',
      blockOf({ cidr: '10.0.0.0/8', except: ['fd00::/16'] }),
      'spec.ingress[1].from[1].ipBlock.except[0]',
    ],
    [
      'an unknown operator',
      expressionOf({ key: 'a', operator: 'Equals', values: ['b'] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].operator',
    ],
    [
      'no operator',
      expressionOf({ key: 'a', values: ['b'] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].operator',
    ],
    ['no key', expressionOf({ operator: 'Exists' }), 'spec.ingress[1].from[1].podSelector.matchExpressions[0].key'],
    [
      'a wrong key',
      expressionOf({ key: '-a', operator: 'Exists' }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].key',
    ],
    [
      'In without values',
      expressionOf({ key: 'a', operator: 'In' }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].values',
    ],
    [
      'NotIn without values',
      expressionOf({ key: 'a', operator: 'NotIn', values: [] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].values',
    ],
    [
      'Exists with values',
      expressionOf({ key: 'a', operator: 'Exists', values: ['b'] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].values',
    ],
    [
      'a value that is no text',
      expressionOf({ key: 'a', operator: 'In', values: [true] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].values[0]',
    ],
    [
      'a wrong value',
      expressionOf({ key: 'a', operator: 'In', values: ['b c'] }),
      'spec.ingress[1].from[1].podSelector.matchExpressions[0].values[0]',
    ],
    ['an expression that is null', expressionOf(null), 'spec.ingress[1].from[1].podSelector.matchExpressions[0]'],
    [
      'a label that is a number',
      peerOf({ namespaceSelector: { matchLabels: { 'x.io/v': 1 } } }),
      'spec.ingress[1].from[1].namespaceSelector.matchLabels[x.io/v]',
    ],
    [
      'a label key with two slashes',
      peerOf({ podSelector: { matchLabels: { 'a/b/c': '' } } }),
      'spec.ingress[1].from[1].podSelector.matchLabels[a/b/c]',
    ],
    ['ports that are no list', rulesOf({ ports: 80 }), 'spec.ingress[1].ports'],
    ['a port that is null', portOf(null), 'spec.ingress[1].ports[1]'],
    ['port 0', portOf({ port: 0 }), 'spec.ingress[1].ports[1].port'],
    ['port 65536', portOf({ port: 65536 }), 'spec.ingress[1].ports[1].port'],
    ['port 80.5', portOf({ port: 80.5 }), 'spec.ingress[1].ports[1].port'],
    ['a number in quotes', portOf({ port: '80' }), 'spec.ingress[1].ports[1].port'],
    ['a port name in upper case', portOf({ port: 'HTTP' }), 'spec.ingress[1].ports[1].port'],
    ['a port name of 16 characters', portOf({ port: 'abcdefghijklmnop' }), 'spec.ingress[1].ports[1].port'],
    ['a port name with "--"', portOf({ port: 'a--b' }), 'spec.ingress[1].ports[1].port'],
    ['a list for a port', portOf({ port: [80] }), 'spec.ingress[1].ports[1].port'],
    ['an unknown protocol', portOf({ port: 80, protocol: 'tcp' }), 'spec.ingress[1].ports[1].protocol'],
    ['endPort without port', portOf({ endPort: 80 }), 'spec.ingress[1].ports[1].endPort'],
    ['endPort with a name', portOf({ port: 'http', endPort: 80 }), 'spec.ingress[1].ports[1].endPort'],
    ['endPort below port', portOf({ port: 80, endPort: 79 }), 'spec.ingress[1].ports[1].endPort'],
    ['endPort beyond all', portOf({ port: 80, endPort: 65536 }), 'spec.ingress[1].ports[1].endPort'],
    ['an unknown policy type', policy({ ingress: [{}], policyTypes: ['ingress'] }), 'spec.policyTypes[0]'],
    ['three policy types', policy({ ingress: [{}], policyTypes: ['Ingress', 'Egress', 'Egress'] }), 'spec.policyTypes'],
    ['policyTypes as text', policy({ ingress: [{}], policyTypes: 'Ingress' }), 'spec.policyTypes'],
    ['no apiVersion', { kind: 'NetworkPolicy', metadata: { name: 'web' }, spec: { ingress: [{}] } }, 'apiVersion'],
  ];
  it.each(faults)('%s', (_, value, field) => {
    const { policy: read, fields } = parse(value);
    expect(fields).toEqual([field]);
    expect(read).toMatchObject({ ingress: [], egress: [] });
    expect(read?.policyTypes).toContain('ingress');
  });

  it('it isolates in the directions that it says', () => {
    const types = (spec: unknown) => parse(policy(spec)).policy?.policyTypes;
    expect(types({ policyTypes: ['Egress'], egress: [null] })).toEqual(['egress']);
    expect(types({ ingress: [null] })).toEqual(['ingress']);
    expect(types({ egress: [null] })).toEqual(['ingress', 'egress']);
  });

  it('and in both where a fault hides which', () => {
    const types = (spec: unknown) => parse(policy(spec)).policy?.policyTypes;
    expect(types({ policyTypes: ['Ingres'] })).toEqual(['ingress', 'egress']);
    expect(types({ egress: 'none' })).toEqual(['ingress', 'egress']);
    expect(types({ policyTypes: {} })).toEqual(['ingress', 'egress']);
  });

  it('a thousand faults are counted, not listed', () => {
    const { warnings } = parseObject(policy({ ingress: Array(1000).fill(null) }));
    expect(warnings).toHaveLength(10);
    expect(warnings.at(-1)?.message).toContain('991');
  });
});

describe('a policy that cannot say whom it selects is left out', () => {
  const faults: [string, unknown, string][] = [
    ['a wrong podSelector', policy({ podSelector: { matchLabels: { app: 5 } } }), 'spec.podSelector.matchLabels.app'],
    ['a podSelector that is text', policy({ podSelector: 'web' }), 'spec.podSelector'],
    [
      'an unknown operator',
      policy({ podSelector: { matchExpressions: [{ key: 'a', operator: 'Is' }] } }),
      'spec.podSelector.matchExpressions[0].operator',
    ],
    ['no name', policy({}, {}), 'metadata.name'],
    ['no metadata', policy({}, null), 'metadata.name'],
    ['a wrong name', policy({}, { name: 'Web' }), 'metadata.name'],
    ['a wrong namespace', policy({}, { name: 'web', namespace: 'a.b' }), 'metadata.namespace'],
    ['wrong labels', policy({}, { name: 'web', labels: ['a'] }), 'metadata.labels'],
  ];
  it.each(faults)('%s', (_, value, field) => {
    expect(parse(value)).toEqual({ policy: undefined, fields: [field] });
  });

  it('a spec that is no object', () => {
    const { policy: read, fields } = parse(policy([]));
    expect(read).toBeUndefined();
    expect(fields).toContain('spec');
  });
});

it('a warning names the object, the field, the value and what follows from it', () => {
  const [warning] = parseObject(portOf({ port: 70000 })).warnings;
  expect(warning?.object).toBe('NetworkPolicy shop/web');
  expect(warning?.message).toBe(
    'must be a number from 1 to 65535, not 70000; until this is mended the policy admits nothing',
  );
});
