import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseObject } from '../../../src/sources/parse/object.ts';

const object = (kind: string, spec?: unknown, more: object = {}): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'web', namespace: 'shop' },
  spec,
  ...more,
});

function fieldsOf(value: unknown): string[] {
  return parseObject(value).warnings.map((warning) => warning.field);
}

function slim(value: unknown): unknown {
  const { parsed } = parseObject(value);
  return parsed.type === 'object' || parsed.type === 'pod' ? parsed.object : parsed.type;
}

describe('a Pod', () => {
  it('keeps labels, node, addresses and the ports of the containers that run beside each other', () => {
    const pod = object(
      'Pod',
      {
        nodeName: 'a',
        containers: [{ ports: [{ name: 'http', containerPort: 80 }] }, { ports: null }],
        initContainers: [
          { restartPolicy: 'Always', ports: [{ containerPort: 53, protocol: 'UDP' }] },
          { ports: [{ containerPort: 99 }] },
        ],
      },
      {
        metadata: { name: 'web', labels: { app: 'web' } },
        status: { podIPs: [{ ip: 'FD00::0:1' }, { ip: '10.0.0.1' }] },
      },
    );
    expect(slim(pod)).toEqual({
      kind: 'Pod',
      namespace: 'default',
      name: 'web',
      labels: { app: 'web' },
      node: 'a',
      addresses: ['fd00::1', '10.0.0.1'],
      hostNetwork: false,
      finished: false,
      ports: [
        { name: 'http', protocol: 'TCP', port: 80 },
        { protocol: 'UDP', port: 53 },
      ],
    });
  });

  it('has the one address of podIP where podIPs is missing', () => {
    expect(slim(object('Pod', {}, { status: { podIP: '10.0.0.1' } }))).toMatchObject({ addresses: ['10.0.0.1'] });
  });

  it.each([
    ['Succeeded', true],
    ['Failed', true],
    ['Running', false],
  ])('in phase %s is finished: %s', (phase, finished) => {
    expect(slim(object('Pod', {}, { status: { phase } }))).toMatchObject({ finished });
  });

  const statuses: [string, object, boolean][] = [
    ['without status', {}, false],
    ['running', { phase: 'Running' }, false],
    ['pending', { phase: 'Pending' }, true],
    ['finished', { phase: 'Failed' }, true],
    ['pending with an address', { phase: 'Pending', podIP: '10.0.0.1' }, false],
    ['with an address that is none', { podIPs: [{ ip: '10.0.0.256' }] }, true],
  ];
  it.each(statuses)('%s says whether it has no address', (_, status, unaddressed) => {
    expect(parseObject(object('Pod', {}, { status })).parsed).toMatchObject({ type: 'pod', unaddressed });
  });

  it('stays with its other addresses when one is wrong, or one of a family too many', () => {
    const wrong = object('Pod', {}, { status: { podIPs: [{ ip: '10.0.0.256' }, { ip: 'fd00::1' }] } });
    expect(slim(wrong)).toMatchObject({ addresses: ['fd00::1'] });
    expect(fieldsOf(wrong)).toEqual(['status.podIPs[0].ip']);
    const many = object('Pod', {}, { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] } });
    expect(slim(many)).toMatchObject({ addresses: ['10.0.0.1'] });
    expect(fieldsOf(many)).toEqual(['status.podIPs[1].ip']);
    expect(fieldsOf(object('Pod', {}, { status: 'Running' }))).toEqual(['status']);
  });
});

it('a Namespace bears the label of its name, whatever its manifest says', () => {
  const metadata = { name: 'shop', labels: { team: 'a', 'kubernetes.io/metadata.name': 'other' } };
  expect(slim(object('Namespace', undefined, { metadata }))).toEqual({
    kind: 'Namespace',
    name: 'shop',
    labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' },
  });
});

it('a Node has its internal addresses first and no host names', () => {
  const addresses = [
    { type: 'Hostname', address: 'a' },
    { type: 'ExternalIP', address: '192.0.2.1' },
    { type: 'InternalIP', address: '10.0.0.1' },
  ];
  expect(slim(object('Node', { podCIDR: '10.1.0.0/24' }, { metadata: { name: 'a' }, status: { addresses } }))).toEqual({
    kind: 'Node',
    name: 'a',
    addresses: ['10.0.0.1', '192.0.2.1'],
    podPrefixes: ['10.1.0.0/24'],
  });
});

it('a Service has all its addresses and the ports behind it', () => {
  const spec = {
    clusterIP: '10.96.0.1',
    clusterIPs: ['10.96.0.1', 'fd00::96'],
    externalIPs: ['192.0.2.1'],
    selector: { app: 'web' },
    ports: [
      { name: 'http', port: 80, targetPort: 'http', nodePort: 30080 },
      { port: 53, protocol: 'UDP' },
    ],
  };
  const status = { loadBalancer: { ingress: [{ ip: '192.0.2.2' }, { hostname: 'lb.example' }] } };
  expect(slim(object('Service', spec, { status }))).toEqual({
    kind: 'Service',
    namespace: 'shop',
    name: 'web',
    addresses: ['10.96.0.1', 'fd00::96', '192.0.2.1', '192.0.2.2'],
    externalAddresses: ['192.0.2.1', '192.0.2.2'],
    ports: [
      { name: 'http', protocol: 'TCP', port: 80, targetPort: 'http', nodePort: 30080 },
      { protocol: 'UDP', port: 53, targetPort: 53 },
    ],
    selector: { app: 'web' },
  });
  expect(slim(object('Service', { clusterIP: 'None' }))).toMatchObject({ addresses: [], ports: [] });
});

it('a Service says for how long a client stays with a backend, and whether only those of the node count', () => {
  const local = { sessionAffinity: 'ClientIP', externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' };
  const { sessionAffinity: _, ...policies } = local;
  expect(slim(object('Service', local))).toMatchObject({ ...policies, affinitySeconds: 10800 });
  const timed = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } };
  expect(slim(object('Service', timed))).toMatchObject({ affinitySeconds: 5 });
  const usual = { sessionAffinity: 'None', externalTrafficPolicy: 'Cluster', internalTrafficPolicy: 'Cluster' };
  expect(slim(object('Service', usual))).toEqual(slim(object('Service', {})));
});

it('a Pod has the ports by which its node leads to it', () => {
  const ports = [
    { containerPort: 80, hostPort: 8080 },
    { containerPort: 81, hostPort: 8081, hostIP: '192.0.2.1' },
    { containerPort: 82, hostPort: 0, hostIP: '192.0.2.1' },
    { containerPort: 83, hostPort: 8083, hostIP: '0.0.0.0' },
  ];
  expect(slim(object('Pod', { containers: [{ name: 'a', ports }] }))).toMatchObject({
    ports: [
      { protocol: 'TCP', port: 80, hostPort: 8080 },
      { protocol: 'TCP', port: 81, hostPort: 8081, hostAddress: '192.0.2.1' },
      { protocol: 'TCP', port: 82 },
      { protocol: 'TCP', port: 83, hostPort: 8083 },
    ],
  });
});

describe('an object that is not valid is left out, its field named', () => {
  const template = { metadata: { labels: {} }, spec: {} };
  const faults: [string, unknown, string][] = [
    ['a value that is no object', 5, ''],
    ['no kind', { apiVersion: 'v1', metadata: { name: 'a' } }, 'kind'],
    ['a kind that is a number', { apiVersion: 'v1', kind: 5 }, 'kind'],
    ['no apiVersion', { kind: 'Pod', metadata: { name: 'a' } }, 'apiVersion'],
    ['a Pod without name', object('Pod', {}, { metadata: {} }), 'metadata.name'],
    ['a Pod whose name is null', object('Pod', {}, { metadata: { name: null } }), 'metadata.name'],
    [
      'a Pod with a wrong label',
      object('Pod', {}, { metadata: { name: 'a', labels: { 'a b': 'c' } } }),
      'metadata.labels[a b]',
    ],
    [
      'a Pod with a label null',
      object('Pod', {}, { metadata: { name: 'a', labels: { a: null } } }),
      'metadata.labels.a',
    ],
    [
      'a Pod with a label too long',
      object('Pod', {}, { metadata: { name: 'a', labels: { a: 'x'.repeat(64) } } }),
      'metadata.labels.a',
    ],
    ['a wrong nodeName', object('Pod', { nodeName: 'A' }), 'spec.nodeName'],
    ['hostNetwork as text', object('Pod', { hostNetwork: 'yes' }), 'spec.hostNetwork'],
    ['containers that are no list', object('Pod', { containers: {} }), 'spec.containers'],
    [
      'containerPort 0',
      object('Pod', { containers: [{ ports: [{ containerPort: 0 }] }] }),
      'spec.containers[0].ports[0].containerPort',
    ],
    [
      'no containerPort',
      object('Pod', { containers: [{ ports: [{ name: 'a' }] }] }),
      'spec.containers[0].ports[0].containerPort',
    ],
    [
      'a wrong port name',
      object('Pod', { containers: [{ ports: [{ name: '1', containerPort: 1 }] }] }),
      'spec.containers[0].ports[0].name',
    ],
    [
      'a wrong protocol',
      object('Pod', { containers: [{ ports: [{ protocol: 'ICMP', containerPort: 1 }] }] }),
      'spec.containers[0].ports[0].protocol',
    ],
    ['a Namespace with a dot', object('Namespace', {}, { metadata: { name: 'a.b' } }), 'metadata.name'],
    ['a Node with a wrong prefix', object('Node', { podCIDRs: ['10.0.0.0'] }), 'spec.podCIDRs[0]'],
    ['a Service with a wrong address', object('Service', { clusterIP: 'none' }), 'spec.clusterIP'],
    ['a Service without port', object('Service', { ports: [{ targetPort: 1 }] }), 'spec.ports[0].port'],
    ['a Service with a wrong selector', object('Service', { selector: { app: 5 } }), 'spec.selector.app'],
    ['a Service with a selector that is text', object('Service', { selector: 'web' }), 'spec.selector'],
    ['a Deployment without template', object('Deployment', {}, { apiVersion: 'apps/v1' }), 'spec.template'],
    [
      'replicas below zero',
      object('Deployment', { replicas: -1, template }, { apiVersion: 'apps/v1' }),
      'spec.replicas',
    ],
    [
      'replicas beyond reason',
      object('Deployment', { replicas: 1e9, template }, { apiVersion: 'apps/v1' }),
      'spec.replicas',
    ],
    [
      'a wrong label in a template',
      object(
        'CronJob',
        { jobTemplate: { spec: { template: { metadata: { labels: { a: 1 } } } } } },
        { apiVersion: 'batch/v1' },
      ),
      'spec.jobTemplate.spec.template.metadata.labels.a',
    ],
  ];
  it.each(faults)('%s', (_, value, field) => {
    expect(parseObject(value).parsed.type).toBe('invalid');
    expect(fieldsOf(value)).toContain(field);
  });
});

it('kinds of other groups are not ours, even with our names', () => {
  const other = { apiVersion: 'crd.projectcalico.org/v1', kind: 'NetworkPolicy', metadata: { name: 'a' } };
  expect(parseObject(other)).toEqual({
    parsed: { type: 'other', apiVersion: 'crd.projectcalico.org/v1', kind: 'NetworkPolicy' },
    warnings: [],
  });
  expect(parseObject(object('toString')).parsed.type).toBe('other');
});

it('no value makes the parser throw', () => {
  const kinds = ['Pod', 'NetworkPolicy', 'Namespace', 'Node', 'Service', 'Deployment', 'CronJob', 'DaemonSet'];
  const keys = [
    'metadata',
    'name',
    'labels',
    'spec',
    'podSelector',
    'matchExpressions',
    'ingress',
    'egress',
    'from',
    'to',
  ];
  const more = [
    'ports',
    'port',
    'endPort',
    'ipBlock',
    'cidr',
    'except',
    'containers',
    'status',
    'podIPs',
    'ip',
    'template',
  ];
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 7, withCrossShrink: true },
      fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.constantFrom('a', '10.0.0.0/8', 'In')),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys, ...more), tie('value'), { maxKeys: 6 }),
    ),
  }));
  const versions = fc.constantFrom('v1', 'apps/v1', 'batch/v1', 'networking.k8s.io/v1');
  const typed = fc.tuple(fc.constantFrom(...kinds), versions, fc.dictionary(fc.constantFrom(...keys, 'status'), value));
  fc.assert(
    fc.property(typed, ([kind, apiVersion, rest]) => {
      const { parsed, warnings } = parseObject({ ...rest, kind, apiVersion });
      if (parsed.type === 'invalid') expect(warnings.length).toBeGreaterThan(0);
    }),
    { numRuns: 2000 },
  );
});
