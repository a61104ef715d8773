/** What a person reads, for each reason. */
import { expect, test } from 'vitest';
import { parseEnd } from '../../src/model/query.ts';
import { explain } from '../../src/observe/explanation.ts';
import { Reachability } from '../../src/observe/reachability.ts';
import { readManifests } from '../../src/sources/directory/directory-source.ts';
import { folderWith } from './command.ts';

const PODS = `
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { nodeName: node1 }
status: { podIP: 10.0.0.1 }
---
apiVersion: v1
kind: Pod
metadata: { name: db, namespace: shop, labels: { app: db } }
spec: { nodeName: node2 }
status: { podIP: 10.0.0.2 }
---
apiVersion: v1
kind: Pod
metadata: { name: intruder, namespace: else, labels: { app: intruder } }
spec: { nodeName: node2 }
status: { podIP: 10.0.0.3 }
---
apiVersion: v1
kind: Node
metadata: { name: node1 }
status: { addresses: [{ type: InternalIP, address: 192.168.0.1 }] }
`;

const POLICIES = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny, namespace: shop }
spec: { podSelector: {} }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: db, namespace: shop }
spec:
  podSelector: { matchLabels: { app: db } }
  ingress:
    - ports: [{ port: 1 }]
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ port: 5432 }]
`;

async function explained(from: string, to: string): Promise<string> {
  const folder = folderWith({ 'pods.yaml': PODS, 'policies.yaml': POLICIES });
  const reachability = new Reachability((await readManifests([folder])).objects);
  const answer = reachability.ask({ from: parseEnd(from), to: parseEnd(to), port: 5432, protocol: 'TCP' });
  return explain(reachability, answer, { allowed: (text) => text.toUpperCase(), denied: (text) => text.toUpperCase() });
}

test('a rule that admits is named with its line, and a direction without policy as such', async () => {
  expect(await explained('shop/web', 'shop/db')).toBe(
    [
      'ALLOWED: shop/web (10.0.0.1) to shop/db (10.0.0.2) on 5432/TCP',
      'allowed at the source: no NetworkPolicy isolates shop/web for egress',
      'allowed at the destination: NetworkPolicy shop/db, rule spec.ingress[1] (policies.yaml:13), admits shop/web on 5432/TCP',
    ].join('\n'),
  );
});

test('a denial names all policies that isolate, with their lines, and offers what would admit it', async () => {
  expect(
    await explained('else/intruder', 'shop/db'),
  ).toBe(`DENIED: else/intruder (10.0.0.3) to shop/db (10.0.0.2) on 5432/TCP
allowed at the source: no NetworkPolicy isolates else/intruder for egress
denied at the destination: shop/db is isolated for ingress by NetworkPolicy shop/db (policies.yaml:6), shop/default-deny (policies.yaml:1), and no rule of these admits else/intruder on 5432/TCP

the smallest addition that admits it:
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db-from-else-intruder-5432-tcp
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes:
    - Ingress
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: else
          podSelector:
            matchLabels:
              app: intruder
      ports:
        - protocol: TCP
          port: 5432`);
});

test('nodes, addresses outside and the pod itself are called what they are', async () => {
  expect(await explained('192.168.0.1', 'shop/web')).toBe(
    [
      'ALLOWED: node node1 (192.168.0.1) to shop/web (10.0.0.1) on 5432/TCP',
      'allowed at the destination: node node1 (192.168.0.1) is an address of the node that shop/web runs on, and these always reach each other',
    ].join('\n'),
  );
  expect(await explained('shop/web', 'shop/web')).toContain('allowed at the destination: a pod always reaches itself');
  expect(await explained('203.0.113.9', '192.168.0.1')).toBe(
    [
      'ALLOWED: 203.0.113.9 (outside the cluster) to node node1 (192.168.0.1) on 5432/TCP',
      'neither end is a pod with a network of its own: no NetworkPolicy is asked',
    ].join('\n'),
  );
});
