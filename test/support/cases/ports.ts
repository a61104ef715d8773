/** Ports by number: protocols, ranges, rules with and without ports. */
import { allow, deny, policy, type SemanticCase } from './case.ts';
import { cast, OUTSIDE } from './cast.ts';

const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };

export const portCases: readonly SemanticCase[] = [
  {
    name: 'A port without a protocol is a TCP port',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{ port: 5432 }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'the protocol defaults to TCP'),
      deny('shop/web', 'shop/db', '5432/UDP', 'the same number of another protocol'),
      deny('shop/web', 'shop/db', '5431/TCP', 'one below'),
      deny('shop/web', 'shop/db', '5433/TCP', 'one above'),
    ],
  },
  {
    name: 'A UDP port is not a TCP port',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{ protocol: 'UDP', port: 53 }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '53/UDP', 'as the rule says'),
      deny('shop/web', 'shop/db', '53/TCP', 'another protocol'),
      deny('shop/web', 'shop/db', '53/SCTP', 'another protocol'),
    ],
  },
  {
    name: 'SCTP ports are ports like others',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ ports: [{ protocol: 'SCTP', port: 7777 }] }] }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '7777/SCTP', 'as the rule says'),
      deny('shop/web', 'shop/db', '7778/SCTP', 'another port'),
      deny('shop/web', 'shop/db', '7777/TCP', 'another protocol'),
    ],
  },
  {
    name: 'A protocol without a port means all its ports',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{ protocol: 'UDP' }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '1/UDP', 'the lowest'),
      allow('shop/web', 'shop/db', '65535/UDP', 'the highest'),
      deny('shop/web', 'shop/db', '53/TCP', 'another protocol'),
      deny('shop/web', 'shop/db', 'ICMP', 'another protocol'),
    ],
  },
  {
    name: 'An empty port entry means all TCP ports',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{}] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'the protocol defaults to TCP, the port to all'),
      deny('shop/web', 'shop/db', '5432/UDP', 'it is not a rule without ports'),
    ],
  },
  {
    name: 'endPort makes a range with both its ends',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{ port: 8000, endPort: 8010 }] }] })],
    expectations: [
      deny('shop/web', 'shop/db', '7999/TCP', 'one below'),
      allow('shop/web', 'shop/db', '8000/TCP', 'the first'),
      allow('shop/web', 'shop/db', '8005/TCP', 'in the middle'),
      allow('shop/web', 'shop/db', '8010/TCP', 'the last'),
      deny('shop/web', 'shop/db', '8011/TCP', 'one above'),
      deny('shop/web', 'shop/db', '8005/UDP', 'another protocol'),
    ],
  },
  {
    name: 'An endPort equal to port is that one port',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ ports: [{ protocol: 'UDP', port: 123, endPort: 123 }] }] }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '123/UDP', 'the one'),
      deny('shop/web', 'shop/db', '122/UDP', 'one below'),
      deny('shop/web', 'shop/db', '124/UDP', 'one above'),
    ],
  },
  {
    name: 'A range from 1 to 65535 is every port of its protocol only',
    manifests: [...cast, policy('shop/db', { podSelector: db, ingress: [{ ports: [{ port: 1, endPort: 65535 }] }] })],
    expectations: [
      allow('shop/web', 'shop/db', '1/TCP', 'the lowest'),
      allow('shop/web', 'shop/db', '65535/TCP', 'the highest'),
      deny('shop/web', 'shop/db', '65535/UDP', 'another protocol'),
    ],
  },
  {
    name: 'Several ports of a rule, overlapping or not, add up',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          {
            ports: [{ port: 80, endPort: 90 }, { port: 85, endPort: 100 }, { port: 88 }, { protocol: 'UDP', port: 88 }],
          },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '80/TCP', 'the first range'),
      allow('shop/web', 'shop/db', '88/TCP', 'three entries'),
      allow('shop/web', 'shop/db', '100/TCP', 'the second range'),
      allow('shop/web', 'shop/db', '88/UDP', 'the entry for UDP'),
      deny('shop/web', 'shop/db', '89/UDP', 'no entry'),
      deny('shop/web', 'shop/db', '101/TCP', 'no entry'),
    ],
  },
  {
    name: 'Ports of several policies for the same peer add up',
    manifests: [
      ...cast,
      policy('shop/one', { podSelector: db, ingress: [{ from: [{ podSelector: web }], ports: [{ port: 80 }] }] }),
      policy('shop/two', { podSelector: {}, ingress: [{ from: [{ podSelector: web }], ports: [{ port: 443 }] }] }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '80/TCP', 'by one'),
      allow('shop/web', 'shop/db', '443/TCP', 'by two'),
      deny('shop/web', 'shop/api', '80/TCP', 'one does not select api'),
      deny('shop/web', 'shop/db', '81/TCP', 'by none'),
    ],
  },
  {
    name: 'A rule without ports admits every IP protocol from its peers',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          { from: [{ podSelector: web }] },
          { from: [{ podSelector: { matchLabels: { app: 'api' } } }], ports: [] },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '1/TCP', 'any TCP port'),
      allow('shop/web', 'shop/db', '65535/UDP', 'any UDP port'),
      allow('shop/web', 'shop/db', '5/SCTP', 'any SCTP port'),
      allow('shop/web', 'shop/db', 'ICMP', 'ping'),
      allow('shop/web', 'shop/db', 47, 'GRE'),
      allow('shop/api', 'shop/db', 'ICMP', 'ports: [] is no restriction'),
      deny('audit/scan', 'shop/db', 'ICMP', 'not a peer'),
    ],
  },
  {
    name: 'A rule with ports admits no other IP protocol',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [{ ports: [{ protocol: 'TCP' }, { protocol: 'UDP' }, { protocol: 'SCTP' }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'TCP'),
      allow('shop/web', 'shop/db', '5432/UDP', 'UDP'),
      allow('shop/web', 'shop/db', '5432/SCTP', 'SCTP'),
      deny('shop/web', 'shop/db', 'ICMP', 'ICMP has no ports'),
      deny('shop/web', 'shop/db', 50, 'nor has ESP'),
    ],
  },
  {
    name: 'Egress ports are ports of the destination',
    manifests: [
      ...cast,
      policy('shop/web-out', {
        podSelector: web,
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: db }], ports: [{ port: 5432, endPort: 5440 }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'the destination’s port'),
      allow('shop/web', 'shop/db', '5440/TCP', 'the end of the range'),
      deny('shop/web', 'shop/db', '5441/TCP', 'behind it'),
      deny('shop/web', 'shop/db', 'ICMP', 'a rule with ports admits no ping'),
      deny('shop/web', OUTSIDE.near4, '5432/TCP', 'not a peer'),
    ],
  },
];
