// `selvedge lab --services` as users run it, with real agents enforcing in the kernel.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../src/child-process.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SELVEDGE = fileURLToPath(new URL('../../bin/selvedge', import.meta.url));

const MANIFESTS = `
{apiVersion: v1, kind: Node, metadata: {name: node1}, status: {addresses: [{type: InternalIP, address: 172.30.0.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node2}, status: {addresses: [{type: InternalIP, address: 172.30.0.3}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {nodeName: node1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other, labels: {app: other}}, spec: {nodeName: node1}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  selector: {app: api}
  ports: [{port: 80, targetPort: http, nodePort: 30080}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}]
`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-services-'));
  writeFileSync(join(folder, 'cluster.yaml'), MANIFESTS);
});

afterEach(() => rmSync(folder, { recursive: true }));

describeAsRoot('selvedge lab --services', () => {
  it('answers questions about Services by who is behind them', async () => {
    const queries = [
      ...['10.96.0.10', 'fd00:96::10'].flatMap((to) =>
        ['default/web', 'default/other'].map((from) => ({ from, to, port: 80 })),
      ),
      { from: '203.0.113.7', to: '172.30.0.2', port: 30080 },
      { from: 'default/web', to: 'default/api-0', port: 8080 },
    ];
    const input = queries.map((query) => JSON.stringify(query)).join('\n');
    // Nothing on stderr and exit code 0: what can be computed came to the same.
    const output = await run(SELVEDGE, ['lab', '--services', '--manifests', folder, '--queries', '-'], { input });
    expect(output.trim().split('\n')).toEqual([
      'default/web → 10.96.0.10 80/tcp: allow',
      'default/other → 10.96.0.10 80/tcp: deny',
      'default/web → fd00:96::10 80/tcp: allow',
      'default/other → fd00:96::10 80/tcp: deny',
      '203.0.113.7 → 172.30.0.2 30080/tcp: deny',
      'default/web → default/api-0 8080/tcp: allow',
    ]);
  });

  it('is asked for: without it a Service’s address is somebody’s outside', async () => {
    const input = '{"from":"default/web","to":"10.96.0.10","port":80}\n';
    const args = ['lab', '--no-agent', '--manifests', folder, '--queries', '-'];
    expect(await run(SELVEDGE, args, { input })).toBe('default/web → 10.96.0.10 80/tcp: allow\n');
  });
});
