/** ipBlock: addresses of either family, except, and how blocks of several rules overlap. */
import { allow, deny, over, policy, type SemanticCase } from './case.ts';
import { cast, NODE2, OUTSIDE, pod } from './cast.ts';

const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };
const api = { matchLabels: { app: 'api' } };

export const ipBlockCases: readonly SemanticCase[] = [
  {
    name: 'An ipBlock means the addresses from its first to its last',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.8/29' } }, { ipBlock: { cidr: '2001:db8:203::/48' } }] }],
      }),
    ],
    expectations: [
      allow('203.0.113.8', 'shop/web', '8080/TCP', 'the first'),
      allow('203.0.113.15', 'shop/web', '8080/TCP', 'the last'),
      deny('203.0.113.7', 'shop/web', '8080/TCP', 'one before'),
      deny('203.0.113.16', 'shop/web', '8080/TCP', 'one behind'),
      allow('2001:db8:203:ffff::1', 'shop/web', '8080/TCP', 'inside of /48'),
      deny('2001:db8:204::1', 'shop/web', '8080/TCP', 'behind it'),
      deny('audit/scan', 'shop/web', '8080/TCP', 'a pod outside of both blocks'),
    ],
  },
  {
    name: 'Except takes addresses out of its block',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        ingress: [
          { from: [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.64/26', '203.0.113.200/32'] } }] },
          { from: [{ ipBlock: { cidr: '2001:db8:203::/48', except: ['2001:db8:203:8000::/49'] } }] },
        ],
      }),
    ],
    expectations: [
      allow('203.0.113.63', 'shop/web', '8080/TCP', 'one before the except'),
      deny('203.0.113.64', 'shop/web', '8080/TCP', 'the first of the except'),
      deny('203.0.113.127', 'shop/web', '8080/TCP', 'the last of the except'),
      allow('203.0.113.128', 'shop/web', '8080/TCP', 'one behind the except'),
      deny('203.0.113.200', 'shop/web', '8080/TCP', 'an except of one address'),
      allow(OUTSIDE.near6, 'shop/web', '8080/TCP', 'the lower half'),
      deny('2001:db8:203:8000::1', 'shop/web', '8080/TCP', 'the upper half is excepted'),
    ],
  },
  {
    name: 'Excepts may overlap and lie inside of each other',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        ingress: [
          {
            from: [
              { ipBlock: { cidr: '203.0.0.0/16', except: ['203.0.113.0/24', '203.0.113.8/29', '203.0.112.0/23'] } },
            ],
          },
        ],
      }),
    ],
    expectations: [
      deny(OUTSIDE.near4, 'shop/web', '8080/TCP', 'in all three excepts'),
      deny('203.0.112.1', 'shop/web', '8080/TCP', 'in the widest only'),
      allow('203.0.114.1', 'shop/web', '8080/TCP', 'in none: an inner except gives nothing back'),
    ],
  },
  {
    name: 'An ipBlock means pods too, when it covers their addresses',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [{ from: [{ ipBlock: { cidr: '10.244.0.0/24' } }, { ipBlock: { cidr: 'fd00:10:244:0::/64' } }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'in 10.244.0.0/24 and fd00:10:244:0::/64'),
      allow('audit/web', 'shop/db', '5432/TCP', 'whatever the namespace'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'a pod of the other subnet'),
    ],
  },
  {
    name: 'Except takes pods out of a block that covers pods',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          { from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.244.0.0/28'] } }] },
          { from: [{ ipBlock: { cidr: '::/0', except: ['fd00:10:244::11/128', 'fd00:10:244::12/128'] } }] },
        ],
      }),
    ],
    expectations: [
      deny('shop/web', 'shop/db', '5432/TCP', 'excepted in both families'),
      deny('shop/api', 'shop/db', '5432/TCP', 'excepted in both families'),
      over('IPv4', deny('audit/web', 'shop/db', '5432/TCP', '10.244.0.15 is in the except')),
      over('IPv6', allow('audit/web', 'shop/db', '5432/TCP', 'its IPv6 address is in no except')),
      allow('audit/scan', 'shop/db', '5432/TCP', 'a pod outside of the excepts'),
      allow(OUTSIDE.far4, 'shop/db', '5432/TCP', 'the world'),
      allow(OUTSIDE.far6, 'shop/db', '5432/TCP', 'the world'),
    ],
  },
  {
    name: 'Except is no denial: a pod that a selector admits may be in the except of a block',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          {
            from: [
              { ipBlock: { cidr: '10.0.0.0/8', except: ['10.244.0.0/16'] } },
              { ipBlock: { cidr: 'fd00::/8', except: ['fd00:10:244::/48'] } },
              { podSelector: web },
            ],
          },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'admitted by its labels'),
      deny('shop/api', 'shop/db', '5432/TCP', 'in the except and not selected'),
      allow('10.1.2.3', 'shop/db', '5432/TCP', 'in the block'),
    ],
  },
  {
    name: 'What one policy excepts another may admit',
    manifests: [
      ...cast,
      policy('shop/wide', {
        podSelector: web,
        ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.0/28'] } }] }],
      }),
      policy('shop/narrow', {
        podSelector: web,
        ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.8/29', except: ['203.0.113.12/32'] } }] }],
      }),
    ],
    expectations: [
      deny('203.0.113.7', 'shop/web', '8080/TCP', 'excepted by wide, not in narrow'),
      allow('203.0.113.10', 'shop/web', '8080/TCP', 'excepted by wide, admitted by narrow'),
      deny('203.0.113.12', 'shop/web', '8080/TCP', 'excepted by both'),
      allow('203.0.113.20', 'shop/web', '8080/TCP', 'admitted by wide'),
    ],
  },
  {
    name: 'Blocks inside of each other admit each on its own ports',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        ingress: [
          { from: [{ ipBlock: { cidr: '203.0.0.0/16' } }], ports: [{ port: 80 }] },
          { from: [{ ipBlock: { cidr: '203.0.113.0/24' } }], ports: [{ port: 443 }] },
          { from: [{ ipBlock: { cidr: '203.0.113.10/32' } }], ports: [{ port: 53, protocol: 'UDP' }] },
        ],
      }),
    ],
    expectations: [
      allow(OUTSIDE.near4, 'shop/web', '80/TCP', 'by the widest block, though the address has closer ones'),
      allow(OUTSIDE.near4, 'shop/web', '443/TCP', 'by the middle one'),
      allow(OUTSIDE.near4, 'shop/web', '53/UDP', 'by its own'),
      deny('203.0.113.11', 'shop/web', '53/UDP', 'not in the closest block'),
      allow('203.0.113.11', 'shop/web', '443/TCP', 'in the middle one'),
      deny('203.0.7.1', 'shop/web', '443/TCP', 'in the widest only'),
      allow('203.0.7.1', 'shop/web', '80/TCP', 'in the widest only'),
    ],
  },
  {
    name: 'The same address may be admitted by a selector on one port and by a block on another',
    manifests: [
      ...cast,
      policy('shop/db', {
        podSelector: db,
        ingress: [
          { from: [{ podSelector: web }], ports: [{ port: 5432 }] },
          {
            from: [{ ipBlock: { cidr: '10.244.0.11/32' } }, { ipBlock: { cidr: 'fd00:10:244::11/128' } }],
            ports: [{ port: 9187 }],
          },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'by its labels'),
      allow('shop/web', 'shop/db', '9187/TCP', 'by its address'),
      deny('shop/web', 'shop/db', '80/TCP', 'by neither'),
      deny('shop/api', 'shop/db', '9187/TCP', 'another address, another label'),
    ],
  },
  {
    name: '0.0.0.0/0 is every IPv4 address and no IPv6 address, and ::/0 the other way round',
    manifests: [
      ...cast,
      policy('shop/db', { podSelector: db, ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] }),
      policy('shop/api', { podSelector: api, ingress: [{ from: [{ ipBlock: { cidr: '::/0' } }] }] }),
    ],
    expectations: [
      allow(OUTSIDE.far4, 'shop/db', '5432/TCP', 'IPv4'),
      deny(OUTSIDE.far6, 'shop/db', '5432/TCP', 'IPv6'),
      over('IPv4', allow('audit/scan', 'shop/db', '5432/TCP', 'the same pod by IPv4')),
      over('IPv6', deny('audit/scan', 'shop/db', '5432/TCP', 'and by IPv6')),
      over('IPv4', deny('audit/scan', 'shop/api', '8081/TCP', 'not in ::/0')),
      over('IPv6', allow('audit/scan', 'shop/api', '8081/TCP', 'in ::/0')),
    ],
  },
  {
    name: 'Egress to an ipBlock reaches addresses in it, pods or not',
    manifests: [
      ...cast,
      policy('shop/web-out', {
        podSelector: web,
        policyTypes: ['Egress'],
        egress: [
          {
            to: [
              { ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.128/25'] } },
              { ipBlock: { cidr: '10.244.1.0/24', except: ['10.244.1.14/32'] } },
              { ipBlock: { cidr: 'fd00:10:244:1::/64', except: ['fd00:10:244:1::14/128'] } },
            ],
            ports: [{ port: 443 }],
          },
        ],
      }),
    ],
    expectations: [
      allow('shop/web', OUTSIDE.near4, '443/TCP', 'in the block'),
      deny('shop/web', '203.0.113.200', '443/TCP', 'in its except'),
      allow('shop/web', 'shop/db', '443/TCP', 'a pod in the block'),
      deny('shop/web', 'audit/scan', '443/TCP', 'a pod in the except'),
      deny('shop/web', OUTSIDE.near6, '443/TCP', 'no block of this family covers it'),
      deny('shop/web', OUTSIDE.near4, '80/TCP', 'another port'),
    ],
  },
  {
    name: 'An ipBlock may mean the address of another node',
    manifests: [
      ...cast,
      pod('audit/agent', '2:0', { hostNetwork: true, podIPs: [NODE2.ipv4, NODE2.ipv6] }),
      policy('shop/web', { podSelector: web, ingress: [{ from: [{ ipBlock: { cidr: '192.168.50.12/32' } }] }] }),
      policy('shop/api', {
        podSelector: api,
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '192.168.50.0/24' } }], ports: [{ port: 9100 }] }],
      }),
    ],
    expectations: [
      allow(NODE2.ipv4, 'shop/web', '8080/TCP', 'its IPv4 address is in the block'),
      deny(NODE2.ipv6, 'shop/web', '8080/TCP', 'its IPv6 address is not'),
      over('IPv4', allow('audit/agent', 'shop/web', '8080/TCP', 'a hostNetwork pod has its node’s address')),
      over('IPv6', deny('audit/agent', 'shop/web', '8080/TCP', 'of which only the IPv4 one is in the block')),
      allow('shop/api', NODE2.ipv4, '9100/TCP', 'egress to the node'),
      deny('shop/api', NODE2.ipv4, '9101/TCP', 'on that port only'),
    ],
  },
  {
    name: 'Bits of a CIDR behind its prefix length do not count',
    manifests: [
      ...cast,
      policy('shop/web', { podSelector: web, ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.99/24' } }] }] }),
    ],
    expectations: [
      allow(OUTSIDE.near4, 'shop/web', '8080/TCP', 'it means 203.0.113.0/24'),
      deny(OUTSIDE.far4, 'shop/web', '8080/TCP', 'and nothing else'),
    ],
  },
  {
    name: 'An IPv6 address may be written in any form',
    manifests: [
      ...cast,
      policy('shop/web', {
        podSelector: web,
        ingress: [{ from: [{ ipBlock: { cidr: '2001:0DB8:0203:0000:0000:0000:0000:0010/128' } }] }],
      }),
    ],
    expectations: [
      allow(OUTSIDE.near6, 'shop/web', '8080/TCP', 'the same address, written short'),
      deny('2001:db8:203::11', 'shop/web', '8080/TCP', 'another'),
    ],
  },
];
