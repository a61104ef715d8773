/** The corners of what a pod is: itself, its node, hostNetwork, finished, without address, one family or two. */
import { allow, deny, over, policy, type SemanticCase } from './case.ts';
import { cast, ground, NODE1, NODE2, OUTSIDE, pod } from './cast.ts';

const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };
const denyAll = policy('shop/deny-all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
const hostPods = [
  pod('audit/host1', '1:0', { labels: { app: 'web' }, hostNetwork: true, podIPs: [NODE1.ipv4, NODE1.ipv6] }),
  pod('audit/host2', '2:0', { labels: { app: 'web' }, hostNetwork: true, podIPs: [NODE2.ipv4, NODE2.ipv6] }),
];

export const podCases: readonly SemanticCase[] = [
  {
    name: 'A pod always reaches itself',
    manifests: [...cast, denyAll],
    expectations: [
      allow('shop/web', 'shop/web', '8080/TCP', 'a pod can not block access to itself'),
      allow('shop/web', '10.244.0.11', '53/UDP', 'by its address as well'),
      allow('shop/db', 'fd00:10:244:1::13', 'ICMP', 'in both families'),
      deny('shop/web', 'shop/api', '8081/TCP', 'another pod with the same policies is another pod'),
    ],
  },
  {
    name: 'A pod and its own node always reach each other',
    manifests: [...cast, denyAll],
    expectations: [
      allow(NODE1.ipv4, 'shop/web', '8080/TCP', 'node1 runs web: its health checks arrive'),
      allow(NODE1.ipv6, 'shop/api', '8081/TCP', 'in both families'),
      allow('shop/web', NODE1.ipv4, '10250/TCP', 'and back'),
      allow('shop/db', NODE2.ipv6, 'ICMP', 'whatever the protocol'),
      deny(NODE2.ipv4, 'shop/web', '8080/TCP', 'another node is an address like any other'),
      deny('shop/web', NODE2.ipv4, '10250/TCP', 'another node is an address like any other'),
      deny(NODE1.ipv6, 'shop/db', '5432/TCP', 'db runs on node2'),
    ],
  },
  {
    name: 'An except does not part a pod from its own node',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.50.0/24'] } }] }],
        egress: [{ to: [{ ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.50.0/24'] } }] }],
      }),
    ],
    expectations: [
      allow(NODE1.ipv4, 'shop/web', '8080/TCP', 'regardless of the IP address of the node'),
      allow('shop/web', NODE1.ipv4, '443/TCP', 'regardless of the IP address of the node'),
      deny(NODE2.ipv4, 'shop/web', '8080/TCP', 'the other node is in the except'),
    ],
  },
  {
    name: 'A hostNetwork pod is not isolated by a policy that selects its labels',
    manifests: [...cast, ...hostPods, policy('audit/deny', { podSelector: web, policyTypes: ['Ingress', 'Egress'] })],
    expectations: [
      allow('shop/web', 'audit/host2', '9100/TCP', 'ingress'),
      allow('audit/host2', OUTSIDE.near4, '443/TCP', 'egress'),
      deny('shop/web', 'audit/web', '80/TCP', 'a pod of its own network with the same labels is isolated'),
    ],
  },
  {
    name: 'Selectors as peers do not mean hostNetwork pods',
    manifests: [
      ...cast,
      ...hostPods,
      policy('shop/in', {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ namespaceSelector: {} }, { namespaceSelector: {}, podSelector: web }] }],
        egress: [{ to: [{ namespaceSelector: {} }] }],
      }),
    ],
    expectations: [
      deny('audit/host2', 'shop/web', '8080/TCP', 'its address is that of another node'),
      deny('shop/web', 'audit/host2', '9100/TCP', 'in egress too'),
      allow('audit/host1', 'shop/web', '8080/TCP', 'a hostNetwork pod of the own node is the own node'),
      allow('shop/web', 'audit/host1', '9100/TCP', 'and back'),
      allow('audit/web', 'shop/web', '8080/TCP', 'a pod of its own network is meant'),
    ],
  },
  {
    name: 'A named port does not mean that of a hostNetwork pod',
    manifests: [
      ...cast,
      pod('audit/host2', '2:0', {
        hostNetwork: true,
        podIPs: [NODE2.ipv4, NODE2.ipv6],
        ports: [{ name: 'metrics', containerPort: 9100 }],
      }),
      policy('shop/out', { podSelector: web, policyTypes: ['Egress'], egress: [{ ports: [{ port: 'metrics' }] }] }),
    ],
    expectations: [
      deny('shop/web', 'audit/host2', '9100/TCP', 'the address is a node’s, which has no names'),
      deny('shop/web', NODE2.ipv4, '9100/TCP', 'the same by address'),
    ],
  },
  {
    name: 'The address of a finished pod belongs to its next holder',
    manifests: [
      ...cast,
      pod('shop/job', '1:41', { labels: { app: 'job' }, phase: 'Succeeded' }),
      pod('audit/heir', '1:41', { labels: { app: 'heir' } }),
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'job' } } }] }] }),
      policy('shop/web', {
        podSelector: web,
        ingress: [{ from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'heir' } } }] }],
      }),
      policy('shop/job', { podSelector: { matchLabels: { app: 'job' } } }),
    ],
    expectations: [
      deny('audit/heir', 'shop/db', '5432/TCP', 'it does not inherit the labels'),
      allow('audit/heir', 'shop/web', '8080/TCP', 'its own labels count'),
      allow('shop/api', 'audit/heir', '80/TCP', 'nor does it inherit the isolation'),
    ],
  },
  {
    name: 'The address of a failed pod that nobody holds is an address outside',
    manifests: [
      ...cast,
      pod('shop/job', '2:42', {
        labels: { app: 'job' },
        phase: 'Failed',
        ports: [{ name: 'http', containerPort: 8080 }],
      }),
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ podSelector: {} }] }] }),
      policy('shop/api', {
        podSelector: { matchLabels: { app: 'api' } },
        ingress: [{ from: [{ ipBlock: { cidr: '10.244.1.42/32' } }] }],
      }),
    ],
    expectations: [
      deny('10.244.1.42', 'shop/db', '5432/TCP', 'selectors do not mean finished pods'),
      allow('10.244.1.42', 'shop/api', '8081/TCP', 'a block means the address, whoever holds it'),
    ],
  },
  {
    name: 'A pod without an address yet changes nothing for the others',
    manifests: [
      ...cast,
      pod('shop/starting', '1:0', {
        labels: { app: 'starting' },
        phase: 'Pending',
        podIPs: [],
        ports: [{ name: 'sql', containerPort: 1 }],
      }),
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'starting' } } }], ports: [{ port: 'sql' }] }],
      }),
    ],
    expectations: [
      deny('shop/web', 'shop/db', '5432/TCP', 'the rule means nobody so far'),
      deny(OUTSIDE.near4, 'shop/db', '1/TCP', 'nobody is not everybody'),
    ],
  },
  {
    name: 'A rule whose selector matches no pod admits nobody',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'nobody' } } }] }],
        egress: [{ to: [{ namespaceSelector: { matchLabels: { team: 'nobody' } } }] }],
      }),
    ],
    expectations: [
      deny('shop/web', 'shop/db', '5432/TCP', 'no source'),
      deny('shop/db', 'shop/web', '8080/TCP', 'no destination'),
      deny('shop/db', OUTSIDE.near6, '443/TCP', 'no destination'),
    ],
  },
  {
    name: 'A selector means both addresses of a dual-stack pod, in whichever order',
    manifests: [
      ...ground,
      pod('shop/client', '1:51', { labels: { app: 'client' }, podIPs: ['fd00:10:244:0::51', '10.244.0.51'] }),
      pod('shop/other', '1:52'),
      pod('shop/server', '2:53', { labels: { app: 'server' } }),
      policy('shop/in', {
        podSelector: { matchLabels: { app: 'server' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
      }),
    ],
    expectations: [
      over('IPv4', allow('shop/client', 'shop/server', '80/TCP', 'IPv4 stands second')),
      over('IPv6', allow('shop/client', 'shop/server', '80/TCP', 'IPv6 stands first')),
      deny('shop/other', 'shop/server', '80/TCP', 'not selected, in both families'),
    ],
  },
  {
    name: 'A pod of one family is selected and isolated as any other',
    manifests: [
      ...ground,
      pod('shop/four', '1:54', { labels: { app: 'client' }, podIPs: ['10.244.0.54'] }),
      pod('shop/six', '2:55', { labels: { app: 'client' }, podIPs: ['fd00:10:244:1::55'] }),
      pod('shop/server', '2:53', { labels: { app: 'server' } }),
      policy('shop/in', {
        podSelector: { matchLabels: { app: 'server' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: 80 }] }],
      }),
      policy('shop/isolate', { podSelector: { matchLabels: { app: 'client' } } }),
    ],
    expectations: [
      over('IPv4', allow('shop/four', 'shop/server', '80/TCP', 'by IPv4')),
      over('IPv6', allow('shop/six', 'shop/server', '80/TCP', 'by IPv6')),
      over('IPv4', deny('shop/four', 'shop/server', '81/TCP', 'another port')),
      over('IPv4', deny('shop/server', 'shop/four', '80/TCP', 'isolated')),
      over('IPv6', deny('shop/server', 'shop/six', '80/TCP', 'isolated')),
    ],
  },
  {
    name: 'An address of a pod in a question is that pod',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ from: [{ podSelector: web }] }] })],
    expectations: [
      allow('10.244.0.11', 'shop/db', '5432/TCP', 'the address of shop/web'),
      deny('10.244.0.15', '10.244.1.13', '5432/TCP', 'the addresses of audit/web and shop/db'),
      allow('fd00:10:244:0:0:0:0:11', 'fd00:10:244:1::13', '5432/TCP', 'written in any form'),
    ],
  },
];
