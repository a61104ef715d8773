/** What the policies of `selvedge bench --cluster` let through, by Selvedge's own judgement over pods of its own templates. */
import { expect, it } from 'vitest';
import { manifestsOf } from '../../../src/bench/cluster/manifests.ts';
import { CLUSTER_DEFAULTS } from '../../../src/bench/cluster/options.ts';
import { folderWith, manifestText, selvedge } from '../../observe/command.ts';

const NAMESPACE = CLUSTER_DEFAULTS.namespace;
const ELSEWHERE = '203.0.113.7';

interface Template {
  readonly metadata: object;
  readonly spec: object;
}

/** The pods that controllers would make, and the manifests beside them. */
function objects(): unknown[] {
  let pods = 0;
  return [...manifestsOf({ ...CLUSTER_DEFAULTS, policies: 7 })].map((manifest) => {
    const { template } = (manifest.spec ?? {}) as { readonly template?: Template };
    if (template === undefined) return manifest;
    const { name } = manifest.metadata as { readonly name: string };
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...template.metadata, name, namespace: NAMESPACE },
      spec: { ...template.spec, nodeName: 'node1' },
      status: { phase: 'Running', podIPs: [{ ip: `10.244.1.${++pods}` }] },
    };
  });
}

const UNDER = 'client-one-node-allowed';
const FREE = 'client-two-nodes-unselected';

const QUERIES = [
  [UNDER, 'server', 5200, 'TCP', 'allow'],
  [UNDER, 'server', 5201, 'UDP', 'allow'],
  [UNDER, 'server', 5300, 'TCP', 'deny'],
  [UNDER, 'turns', 5299, 'TCP', 'allow'],
  [UNDER, 'free-server', 5200, 'TCP', 'deny'],
  [UNDER, ELSEWHERE, 53, 'UDP', 'allow'],
  [UNDER, ELSEWHERE, 443, 'TCP', 'deny'],
  [FREE, 'free-server', 5200, 'TCP', 'allow'],
  [FREE, 'free-server', 5300, 'TCP', 'allow'],
  [FREE, 'turns', 5299, 'TCP', 'allow'],
  [ELSEWHERE, 'server', 5200, 'TCP', 'deny'],
] as const;

it('clients reach what they measure, take turns and resolve names; nobody else gets in, and nothing else is open', async () => {
  const end = (name: string) => (name === ELSEWHERE ? name : `${NAMESPACE}/${name}`);
  const queries = QUERIES.map(([from, to, port, protocol]) =>
    JSON.stringify({ from: end(from), to: end(to), port, protocol }),
  );
  const folder = folderWith({ 'bench.yaml': manifestText(objects()) });
  const { stdout, stderr } = await selvedge(
    ['explain', '--manifests', folder, '--queries', '-'],
    `${queries.join('\n')}\n`,
  );
  expect(stderr).toBe('');
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).verdict);
  expect(answers).toEqual(QUERIES.map(([, , , , verdict]) => verdict));
});
