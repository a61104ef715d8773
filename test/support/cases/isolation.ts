/** Which pods a policy isolates, in which direction, and how several policies add up. */
import { allow, deny, policy, type SemanticCase } from './case.ts';
import { cast, OUTSIDE } from './cast.ts';

const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };
const api = { matchLabels: { app: 'api' } };

export const isolationCases: readonly SemanticCase[] = [
  {
    name: 'A pod that no policy selects is not isolated',
    manifests: [...cast, policy('shop/db-only', { podSelector: db, policyTypes: ['Ingress', 'Egress'] })],
    expectations: [
      allow('audit/scan', 'shop/api', '8081/TCP', 'the policy selects only db'),
      allow('shop/api', OUTSIDE.near4, '443/TCP', 'nor is the egress of api isolated'),
      deny('shop/api', 'shop/db', '5432/TCP', 'db itself is isolated'),
    ],
  },
  {
    name: 'A policy of type Ingress isolates incoming traffic alone',
    manifests: [...cast, policy('shop/deny-in', { podSelector: web, policyTypes: ['Ingress'] })],
    expectations: [
      deny('audit/scan', 'shop/web', '8080/TCP', 'web is isolated in ingress and no rule admits'),
      deny(OUTSIDE.near6, 'shop/web', 'ICMP', 'isolation is not about ports: ping too'),
      allow('shop/web', 'audit/scan', '443/TCP', 'egress is not isolated, and the replies pass'),
      allow('shop/web', OUTSIDE.near4, '53/UDP', 'the replies to its own requests pass for UDP as well'),
    ],
  },
  {
    name: 'A policy of type Egress isolates outgoing traffic alone',
    manifests: [...cast, policy('shop/deny-out', { podSelector: web, policyTypes: ['Egress'] })],
    expectations: [
      deny('shop/web', 'shop/api', '8081/TCP', 'web is isolated in egress and no rule admits'),
      deny('shop/web', OUTSIDE.near4, 'ICMP', 'nor may it ping the world'),
      allow('shop/api', 'shop/web', '8080/TCP', 'ingress is not isolated, and its replies are no requests'),
    ],
  },
  {
    name: 'A policy of both types without rules denies everything in both directions',
    manifests: [...cast, policy('shop/deny-all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })],
    expectations: [
      deny('shop/web', 'shop/api', '8081/TCP', 'denied at both ends'),
      deny('audit/scan', 'shop/api', '8081/TCP', 'denied by the ingress of api'),
      deny('shop/api', 'audit/scan', '8081/TCP', 'denied by the egress of api'),
      deny('shop/db', OUTSIDE.far6, 50, 'whatever the protocol'),
      allow('audit/scan', 'audit/web', '80/TCP', 'a policy holds in its own namespace only'),
    ],
  },
  {
    name: 'Ingress rules that are an empty list, null or absent are alike: they admit nothing',
    manifests: [
      ...cast,
      policy('shop/empty', { podSelector: web, policyTypes: ['Ingress'], ingress: [] }),
      policy('shop/null', { podSelector: api, policyTypes: ['Ingress'], ingress: null }),
      policy('shop/absent', { podSelector: db, policyTypes: ['Ingress'] }),
    ],
    expectations: [
      deny('audit/scan', 'shop/web', '8080/TCP', 'ingress: []'),
      deny('audit/scan', 'shop/api', '8081/TCP', 'ingress: null'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'no ingress field'),
    ],
  },
  {
    name: 'Egress rules that are an empty list, null or absent are alike: they admit nothing',
    manifests: [
      ...cast,
      policy('shop/empty', { podSelector: web, policyTypes: ['Egress'], egress: [] }),
      policy('shop/null', { podSelector: api, policyTypes: ['Egress'], egress: null }),
      policy('shop/absent', { podSelector: db, policyTypes: ['Egress'] }),
    ],
    expectations: [
      deny('shop/web', 'audit/scan', '443/TCP', 'egress: []'),
      deny('shop/api', 'audit/scan', '443/TCP', 'egress: null'),
      deny('shop/db', 'audit/scan', '443/TCP', 'no egress field'),
    ],
  },
  {
    name: 'One empty rule admits everything from everybody',
    manifests: [...cast, policy('shop/all', { podSelector: web, policyTypes: ['Ingress'], ingress: [{}] })],
    expectations: [
      allow('audit/scan', 'shop/web', '8080/TCP', 'a pod of another namespace'),
      allow(OUTSIDE.far4, 'shop/web', '1/UDP', 'an address outside, any port'),
      allow('audit/scan', 'shop/web', 'ICMP', 'any protocol'),
      allow(OUTSIDE.near6, 'shop/web', '9/SCTP', 'IPv6 alike'),
    ],
  },
  {
    name: 'One empty egress rule admits everything to everybody',
    manifests: [...cast, policy('shop/all', { podSelector: web, policyTypes: ['Egress'], egress: [{}] })],
    expectations: [
      allow('shop/web', 'audit/scan', '8080/TCP', 'a pod of another namespace'),
      allow('shop/web', OUTSIDE.far6, '1/UDP', 'an address outside, any port'),
      allow('shop/web', 'shop/db', 47, 'any protocol'),
    ],
  },
  {
    name: 'Without policyTypes and without egress rules a policy is of type Ingress',
    manifests: [...cast, policy('shop/default', { podSelector: web })],
    expectations: [
      deny('shop/api', 'shop/web', '8080/TCP', 'every policy without policyTypes affects ingress'),
      allow('shop/web', 'shop/api', '8081/TCP', 'it has no egress section'),
    ],
  },
  {
    name: 'Without policyTypes an egress rule makes a policy one of both types',
    manifests: [...cast, policy('shop/default', { podSelector: web, egress: [{ to: [{ podSelector: api }] }] })],
    expectations: [
      allow('shop/web', 'shop/api', '8081/TCP', 'the egress rule admits api'),
      deny('shop/web', 'shop/db', '5432/TCP', 'and isolates from others'),
      deny('shop/api', 'shop/web', '8080/TCP', 'ingress is affected although there is no ingress section'),
    ],
  },
  {
    name: 'Without policyTypes an empty egress section does not make a policy one of type Egress',
    manifests: [...cast, policy('shop/default', { podSelector: web, ingress: [{}], egress: [] })],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'the API server adds Egress for a non-empty list only'),
      allow('shop/db', 'shop/web', '8080/TCP', 'the ingress rule admits all'),
    ],
  },
  {
    name: 'An empty list of policyTypes is as good as none',
    manifests: [
      ...cast,
      policy('shop/default', { podSelector: web, policyTypes: [], egress: [{ to: [{ podSelector: api }] }] }),
    ],
    expectations: [
      deny('shop/api', 'shop/web', '8080/TCP', 'defaulted to Ingress and Egress'),
      allow('shop/web', 'shop/api', '8081/TCP', 'the egress rule admits api'),
      deny('shop/web', 'shop/db', '5432/TCP', 'and nobody else'),
    ],
  },
  {
    name: 'Ingress rules of a policy of type Egress mean nothing',
    manifests: [
      ...cast,
      policy('shop/out', { podSelector: web, policyTypes: ['Egress'], ingress: [{ from: [{ podSelector: db }] }] }),
      policy('shop/in', { podSelector: api, policyTypes: ['Egress'], ingress: [] }),
    ],
    expectations: [
      allow('audit/scan', 'shop/web', '8080/TCP', 'web is not isolated in ingress'),
      deny('shop/web', 'audit/scan', '443/TCP', 'egress is isolated without a rule'),
      allow('audit/scan', 'shop/api', '8081/TCP', 'an empty ingress section does not isolate either'),
    ],
  },
  {
    name: 'Egress rules of a policy of type Ingress mean nothing',
    manifests: [
      ...cast,
      policy('shop/in', { podSelector: web, policyTypes: ['Ingress'], egress: [{ to: [{ podSelector: db }] }] }),
    ],
    expectations: [
      allow('shop/web', 'audit/scan', '443/TCP', 'web is not isolated in egress'),
      deny('shop/db', 'shop/web', '8080/TCP', 'ingress is isolated without a rule'),
    ],
  },
  {
    name: 'Policies add up: what one of them admits is admitted',
    manifests: [
      ...cast,
      policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress'] }),
      policy('shop/from-web', { podSelector: db, ingress: [{ from: [{ podSelector: web }] }] }),
      policy('shop/from-api', {
        podSelector: { matchLabels: { tier: 'back' } },
        ingress: [{ from: [{ podSelector: api }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/db', '5432/TCP', 'admitted by from-web'),
      allow('shop/api', 'shop/db', '5432/TCP', 'admitted by from-api'),
      deny('shop/web', 'shop/api', '8081/TCP', 'from-web does not select api'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'admitted by none of three'),
    ],
  },
  {
    name: 'A policy selects pods of its own namespace only',
    manifests: [...cast, policy('audit/deny', { podSelector: web, policyTypes: ['Ingress'] })],
    expectations: [
      deny('shop/api', 'audit/web', '80/TCP', 'audit/web has the label in the policy’s namespace'),
      allow('shop/api', 'shop/web', '8080/TCP', 'shop/web has the same label elsewhere'),
    ],
  },
  {
    name: 'A policy without podSelector selects every pod of its namespace',
    manifests: [...cast, policy('shop/deny', { policyTypes: ['Ingress'] })],
    expectations: [
      deny('audit/scan', 'shop/web', '8080/TCP', 'it defaults to an empty selector'),
      deny('audit/scan', 'shop/db', '5432/TCP', 'which selects all pods of the namespace'),
      allow('shop/web', 'audit/scan', '443/TCP', 'and none of another'),
    ],
  },
  {
    name: 'Both the egress of the source and the ingress of the destination must admit',
    manifests: [
      ...cast,
      policy('shop/web-out', {
        podSelector: web,
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: api }, { podSelector: db }] }],
      }),
      policy('shop/back-in', {
        podSelector: { matchLabels: { tier: 'back' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: web }], ports: [{ port: 8081 }] }],
      }),
    ],
    expectations: [
      allow('shop/web', 'shop/api', '8081/TCP', 'egress to api and ingress from web on 8081'),
      deny('shop/web', 'shop/api', '9000/TCP', 'egress admits, ingress does not'),
      deny('shop/web', 'audit/scan', '8081/TCP', 'the destination is open, the egress is not'),
      deny('shop/api', 'shop/db', '8081/TCP', 'the source is open, the ingress is not'),
      deny('shop/db', 'shop/api', '8081/TCP', 'ingress admits web only'),
    ],
  },
];
