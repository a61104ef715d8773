/** Named ports: whose names they are, and what they mean on each pod. */
import { allow, deny, policy, type SemanticCase } from './case.ts';
import { cast, container, ground, OUTSIDE, pod } from './cast.ts';

const client = { matchLabels: { app: 'client' } };
const server = { matchLabels: { app: 'server' } };

/** Four servers that each mean something else by `http`, and one client. */
const servers = [
  pod('shop/client', '1:31', { labels: { app: 'client' } }),
  pod('shop/one', '1:32', { labels: { app: 'server' }, ports: [{ name: 'http', containerPort: 8080 }] }),
  pod('shop/two', '2:33', { labels: { app: 'server' }, ports: [{ name: 'http', containerPort: 9090 }] }),
  pod('shop/udp', '2:34', {
    labels: { app: 'server' },
    ports: [{ name: 'http', containerPort: 8080, protocol: 'UDP' }],
  }),
  pod('shop/none', '1:35', { labels: { app: 'server' }, ports: [{ containerPort: 8080 }] }),
];

export const namedPortCases: readonly SemanticCase[] = [
  {
    name: 'A named port in ingress means the number that each selected pod gives it',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/in', {
        podSelector: server,
        ingress: [{ from: [{ podSelector: client }], ports: [{ port: 'http' }] }],
      }),
    ],
    expectations: [
      allow('shop/client', 'shop/one', '8080/TCP', 'http is 8080 on one'),
      deny('shop/client', 'shop/one', '9090/TCP', 'http is 8080 on one'),
      allow('shop/client', 'shop/two', '9090/TCP', 'http is 9090 on two'),
      deny('shop/client', 'shop/two', '8080/TCP', 'http is 9090 on two'),
      deny('shop/one', 'shop/two', '9090/TCP', 'not a peer'),
    ],
  },
  {
    name: 'A named port must have the protocol that the rule asks for',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/in', { podSelector: server, ingress: [{ ports: [{ port: 'http', protocol: 'TCP' }] }] }),
    ],
    expectations: [
      deny('shop/client', 'shop/udp', '8080/TCP', 'its http is a UDP port'),
      deny('shop/client', 'shop/udp', '8080/UDP', 'the rule is about TCP'),
      allow('shop/client', 'shop/one', '8080/TCP', 'its http is a TCP port'),
    ],
  },
  {
    name: 'A port number that has no name is not reached by name',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/in', { podSelector: server, ingress: [{ ports: [{ port: 'http' }] }] }),
    ],
    expectations: [
      deny('shop/client', 'shop/none', '8080/TCP', 'it gives no port that name'),
      allow('shop/client', 'shop/one', '8080/TCP', 'this one does'),
    ],
  },
  {
    name: 'A named port in egress means the number that each destination gives it',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/out', {
        podSelector: client,
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: server }], ports: [{ port: 'http' }, { port: 'http', protocol: 'UDP' }] }],
      }),
    ],
    expectations: [
      allow('shop/client', 'shop/one', '8080/TCP', 'http is 8080 on one'),
      deny('shop/client', 'shop/one', '9090/TCP', 'http is 8080 on one'),
      allow('shop/client', 'shop/two', '9090/TCP', 'http is 9090 on two'),
      deny('shop/client', 'shop/two', '8080/TCP', 'http is 9090 on two'),
      allow('shop/client', 'shop/udp', '8080/UDP', 'http is 8080 of UDP on udp'),
      deny('shop/client', 'shop/udp', '8080/TCP', 'and not of TCP'),
      deny('shop/client', 'shop/none', '8080/TCP', 'no such name on none'),
    ],
  },
  {
    name: 'A name that no pod has admits nothing',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/in', { podSelector: server, ingress: [{ ports: [{ port: 'nowhere' }] }] }),
      policy('shop/out', { podSelector: client, policyTypes: ['Egress'], egress: [{ ports: [{ port: 'nowhere' }] }] }),
    ],
    expectations: [
      deny('shop/one', 'shop/two', '9090/TCP', 'in ingress'),
      deny('shop/client', 'shop/none', '8080/TCP', 'in egress and ingress'),
      deny('shop/client', OUTSIDE.near4, '80/TCP', 'in egress'),
    ],
  },
  {
    name: 'A named port never means an address that is no pod',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/out', { podSelector: client, policyTypes: ['Egress'], egress: [{ ports: [{ port: 'http' }] }] }),
    ],
    expectations: [
      allow('shop/client', 'shop/two', '9090/TCP', 'a rule without peers: any pod’s own number'),
      deny('shop/client', 'shop/two', '8080/TCP', 'any pod’s own number'),
      deny('shop/client', OUTSIDE.near4, '8080/TCP', 'the world has no names'),
      deny('shop/client', OUTSIDE.near6, '9090/TCP', 'the world has no names'),
    ],
  },
  {
    name: 'A named port behind an ipBlock means that of the pod that holds the address',
    manifests: [
      ...ground,
      ...servers,
      policy('shop/out', {
        podSelector: client,
        policyTypes: ['Egress'],
        egress: [
          {
            to: [{ ipBlock: { cidr: '10.244.0.0/16' } }, { ipBlock: { cidr: 'fd00:10:244::/48' } }],
            ports: [{ port: 'http' }],
          },
        ],
      }),
    ],
    expectations: [
      allow('shop/client', 'shop/one', '8080/TCP', 'in the block, http is 8080'),
      allow('shop/client', 'shop/two', '9090/TCP', 'in the block, http is 9090'),
      deny('shop/client', 'shop/two', '8080/TCP', 'http is 9090'),
      deny('shop/client', '10.244.1.200', '8080/TCP', 'in the block, but no pod'),
    ],
  },
  {
    name: 'A name that several containers use means all their numbers',
    manifests: [
      ...ground,
      pod('shop/client', '1:31', { labels: { app: 'client' } }),
      pod('shop/pair', '2:36', {
        labels: { app: 'server' },
        containers: [
          container('left', [{ name: 'metrics', containerPort: 9100 }]),
          container('right', [{ name: 'metrics', containerPort: 9200 }]),
        ],
      }),
      policy('shop/in', { podSelector: server, ingress: [{ ports: [{ port: 'metrics' }] }] }),
    ],
    expectations: [
      allow('shop/client', 'shop/pair', '9100/TCP', 'of the left container'),
      allow('shop/client', 'shop/pair', '9200/TCP', 'of the right container'),
      deny('shop/client', 'shop/pair', '9150/TCP', 'they make no range'),
    ],
  },
  {
    name: 'One name for TCP and UDP means each protocol’s own number',
    manifests: [
      ...ground,
      pod('shop/client', '1:31', { labels: { app: 'client' } }),
      pod('shop/dns', '1:37', {
        labels: { app: 'server' },
        containers: [
          container('udp', [{ name: 'dns', containerPort: 53, protocol: 'UDP' }]),
          container('tcp', [{ name: 'dns', containerPort: 5353, protocol: 'TCP' }]),
        ],
      }),
      policy('shop/in', {
        podSelector: server,
        ingress: [{ ports: [{ port: 'dns', protocol: 'UDP' }, { port: 'dns' }] }],
      }),
    ],
    expectations: [
      allow('shop/client', 'shop/dns', '53/UDP', 'dns of UDP'),
      allow('shop/client', 'shop/dns', '5353/TCP', 'dns of TCP'),
      deny('shop/client', 'shop/dns', '53/TCP', 'the number of the other protocol'),
      deny('shop/client', 'shop/dns', '5353/UDP', 'the number of the other protocol'),
    ],
  },
  {
    name: 'Names of sidecars count, names of init containers that end do not',
    manifests: [
      ...ground,
      pod('shop/client', '1:31', { labels: { app: 'client' } }),
      pod('shop/mesh', '2:38', {
        labels: { app: 'server' },
        initContainers: [
          container('proxy', [{ name: 'proxy', containerPort: 15001 }], 'Always'),
          container('prepare', [{ name: 'prepare', containerPort: 15002 }]),
        ],
      }),
      policy('shop/in', { podSelector: server, ingress: [{ ports: [{ port: 'proxy' }, { port: 'prepare' }] }] }),
    ],
    expectations: [
      allow('shop/client', 'shop/mesh', '15001/TCP', 'a sidecar runs with the pod'),
      deny('shop/client', 'shop/mesh', '15002/TCP', 'an init container has ended by then'),
    ],
  },
  {
    name: 'A container port that is not declared is reached by number alone',
    manifests: [
      ...cast,
      policy('audit/in', { podSelector: { matchLabels: { app: 'scan' } }, ingress: [{ ports: [{ port: 7000 }] }] }),
    ],
    expectations: [
      allow('shop/web', 'audit/scan', '7000/TCP', 'numbers need no declaration'),
      deny('shop/web', 'audit/scan', '7001/TCP', 'another number'),
    ],
  },
];
