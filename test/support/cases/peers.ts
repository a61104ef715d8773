/** Whom `from` and `to` mean: podSelector, namespaceSelector, both, none. */
import { allow, deny, policy, type SemanticCase } from './case.ts';
import { cast, NODE2, namespace, OUTSIDE, pod } from './cast.ts';

const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };
const api = { matchLabels: { app: 'api' } };
const audit = { matchLabels: { team: 'audit' } };

export const peerCases: readonly SemanticCase[] = [
  {
    name: 'A podSelector alone means pods of the policy’s own namespace',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ from: [{ podSelector: web }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'app=web in shop'),
      deny('audit/web', 'shop/db', '5432/TCP', 'app=web in another namespace'),
      deny('shop/api', 'shop/db', '5432/TCP', 'another label'),
    ],
  },
  {
    name: 'A namespaceSelector alone means all pods of the selected namespaces',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ from: [{ namespaceSelector: audit }] }] })],
    expectations: [
      allow('audit/scan', 'shop/db', '5432/TCP', 'any pod of audit'),
      allow('audit/web', 'shop/db', '5432/TCP', 'any pod of audit'),
      deny('shop/web', 'shop/db', '5432/TCP', 'the own namespace is not selected'),
      deny(OUTSIDE.near4, 'shop/db', '5432/TCP', 'no namespace has the world'),
    ],
  },
  {
    name: 'Both selectors in one peer must match',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ namespaceSelector: audit, podSelector: web }] }] }),
    ],
    expectations: [
      allow('audit/web', 'shop/db', '5432/TCP', 'app=web in team=audit'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'the namespace alone is not enough'),
      deny('shop/web', 'shop/db', '5432/TCP', 'the label alone is not enough'),
    ],
  },
  {
    name: 'The same selectors in two peers need one match',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ namespaceSelector: audit }, { podSelector: web }] }],
      }),
    ],
    expectations: [
      allow('audit/scan', 'shop/db', '5432/TCP', 'the first peer'),
      allow('shop/web', 'shop/db', '5432/TCP', 'the second peer'),
      deny('shop/api', 'shop/db', '5432/TCP', 'neither'),
    ],
  },
  {
    name: 'An empty podSelector means all pods of the own namespace and nothing else',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ from: [{ podSelector: {} }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'a pod of shop'),
      allow('shop/api', 'shop/db', '5432/TCP', 'a pod of shop'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'a pod of audit'),
      deny(OUTSIDE.near6, 'shop/db', '5432/TCP', 'no pod at all'),
    ],
  },
  {
    name: 'An empty namespaceSelector means all pods of all namespaces and nothing else',
    manifests: [
      ...cast,
      namespace('bare'),
      pod('bare/one', '1:16'),
      policy('shop/web', { podSelector: web, ingress: [{ from: [{ namespaceSelector: {} }] }] }),
    ],
    expectations: [
      allow('audit/scan', 'shop/web', '8080/TCP', 'a pod of audit'),
      allow('shop/db', 'shop/web', '8080/TCP', 'a pod of shop'),
      allow('bare/one', 'shop/web', '8080/TCP', 'a pod without labels in a namespace without labels'),
      deny(OUTSIDE.near4, 'shop/web', '8080/TCP', 'no pod at all'),
      deny(NODE2.ipv4, 'shop/web', '8080/TCP', 'another node is no pod'),
    ],
  },
  {
    name: 'An empty namespaceSelector with a podSelector means such pods of all namespaces',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ namespaceSelector: {}, podSelector: web }] }] }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'app=web in shop'),
      allow('audit/web', 'shop/db', '5432/TCP', 'app=web in audit'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'another label'),
    ],
  },
  {
    name: 'A namespaceSelector with an empty podSelector means all pods of those namespaces',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ namespaceSelector: audit, podSelector: {} }] }] }),
      policy('shop/api', { podSelector: api, ingress: [{ from: [{ namespaceSelector: audit, podSelector: null }] }] }),
    ],
    expectations: [
      allow('audit/scan', 'shop/db', '5432/TCP', 'any pod of audit'),
      deny('shop/web', 'shop/db', '5432/TCP', 'the own namespace is not selected'),
      allow('audit/scan', 'shop/api', '8081/TCP', 'a null podSelector is an absent one'),
      deny('shop/web', 'shop/api', '8081/TCP', 'and does not bring the own namespace in'),
    ],
  },
  {
    name: 'A rule without peers admits from everywhere',
    manifests: [
      ...cast,
      policy('shop/web', { podSelector: web, ingress: [{ ports: [{ port: 8080 }] }] }),
      policy('shop/api', { podSelector: api, ingress: [{ from: [], ports: [{ port: 8081 }] }] }),
      policy('shop/db', { podSelector: db, ingress: [{ from: null, ports: [{ port: 5432 }] }] }),
    ],
    expectations: [
      allow('audit/scan', 'shop/web', '8080/TCP', 'pods of other namespaces'),
      allow(OUTSIDE.far6, 'shop/web', '8080/TCP', 'the world'),
      allow(OUTSIDE.far4, 'shop/api', '8081/TCP', 'from: [] is no restriction'),
      allow('audit/web', 'shop/db', '5432/TCP', 'from: null is no restriction'),
      allow(NODE2.ipv4, 'shop/web', '8080/TCP', 'other nodes'),
      deny('audit/scan', 'shop/web', '8081/TCP', 'the ports still count'),
    ],
  },
  {
    name: 'An egress rule without peers admits to everywhere',
    manifests: [
      ...cast,
      policy('shop/dns', {
        podSelector: web,
        policyTypes: ['Egress'],
        egress: [{ ports: [{ port: 53, protocol: 'UDP' }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'audit/scan', '53/UDP', 'pods of other namespaces'),
      allow('shop/web', OUTSIDE.near6, '53/UDP', 'the world'),
      allow('shop/web', NODE2.ipv4, '53/UDP', 'other nodes'),
      deny('shop/web', OUTSIDE.near4, '53/TCP', 'the ports still count'),
    ],
  },
  {
    name: 'Egress peers are the destinations',
    manifests: [
      ...cast,
      policy('shop/web-out', {
        podSelector: web,
        policyTypes: ['Egress'],
        egress: [
          { to: [{ podSelector: api }] },
          { to: [{ namespaceSelector: audit, podSelector: { matchLabels: { app: 'scan' } } }] },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/api', '8081/TCP', 'app=api in shop'),
      allow('shop/web', 'audit/scan', '443/TCP', 'app=scan in audit'),
      deny('shop/web', 'audit/web', '80/TCP', 'another pod of audit'),
      deny('shop/web', 'shop/db', '5432/TCP', 'another pod of shop'),
      deny('shop/web', OUTSIDE.near4, '443/TCP', 'selectors never mean the world'),
      allow('audit/web', 'shop/web', '8080/TCP', 'requests to web are not its egress'),
    ],
  },
  {
    name: 'Every namespace bears its name as a label',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'audit' } } }] }],
      }),
    ],
    expectations: [
      allow('audit/scan', 'shop/db', '5432/TCP', 'the label is set by the API server'),
      deny('shop/web', 'shop/db', '5432/TCP', 'the own namespace has another name'),
    ],
  },
  {
    name: 'A namespace can not bear the name of another',
    manifests: [
      ...cast,
      namespace('liar', { 'kubernetes.io/metadata.name': 'audit' }),
      pod('liar/one', '2:16'),
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'audit' } } }] }],
      }),
    ],
    expectations: [
      deny('liar/one', 'shop/db', '5432/TCP', 'the API server overwrites the label'),
      allow('audit/scan', 'shop/db', '5432/TCP', 'the true one'),
    ],
  },
  {
    name: 'A namespace without an object has the label with its name and no other',
    manifests: [
      ...cast,
      pod('ghost/one', '2:16'),
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ghost' } } }] }],
      }),
      policy('shop/api', {
        podSelector: api,
        ingress: [{ from: [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists' }] } }] }],
      }),
      policy('ghost/isolate', { podSelector: {} }),
    ],
    expectations: [
      allow('ghost/one', 'shop/db', '5432/TCP', 'selected by its name'),
      deny('ghost/one', 'shop/api', '8081/TCP', 'it has no label team'),
      deny('shop/web', 'ghost/one', '80/TCP', 'and a policy in it holds'),
    ],
  },
  {
    name: 'Traffic must match peers and ports of one and the same rule',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          { from: [{ podSelector: web }], ports: [{ port: 80 }] },
          { from: [{ podSelector: api }], ports: [{ port: 5432 }] },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '80/TCP', 'the first rule'),
      allow('shop/api', 'shop/db', '5432/TCP', 'the second rule'),
      deny('shop/web', 'shop/db', '5432/TCP', 'the peer of one rule, the port of the other'),
      deny('shop/api', 'shop/db', '80/TCP', 'the other way round'),
    ],
  },
  {
    name: 'A policy may admit the pods that it selects to each other',
    manifests: [
      ...cast,
      policy('shop/among-us', {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: {} }] }],
        egress: [{ to: [{ podSelector: {} }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'within shop, across nodes'),
      allow('shop/web', 'shop/api', 'ICMP', 'within shop, on one node'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'not in'),
      deny('shop/db', 'audit/scan', '443/TCP', 'not out'),
    ],
  },
];
