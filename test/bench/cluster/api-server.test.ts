// The manifests of `selvedge bench --cluster` are the Kubernetes API's: its own server takes each with every field, and pods of them
// under the strictest of its Pod Security Standards.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { manifestsOf } from '../../../src/bench/cluster/manifests.ts';
import { CLUSTER_DEFAULTS } from '../../../src/bench/cluster/options.ts';
import type { ApiObject } from '../../support/api-server/objects.ts';
import { ControlPlane, missingControlPlane } from '../../support/control-plane/control-plane.ts';
import { ip, TestNamespace } from '../../support/kernel/test-namespace.ts';
import { describeUnless, missingPrivilege } from '../../support/privilege.ts';

const reason = missingPrivilege() ?? missingControlPlane;

describeUnless(reason, 'an API server', () => {
  const manifests = [...manifestsOf({ ...CLUSTER_DEFAULTS, policies: 12 })] as unknown as ApiObject[];
  let namespace: TestNamespace;
  let plane: ControlPlane;

  beforeAll(async () => {
    namespace = new TestNamespace('bench', []);
    namespace.run(() => ip(['link', 'set', 'lo', 'up']));
    plane = await ControlPlane.start(namespace.name);
  });

  afterAll(async () => {
    await plane?.[Symbol.asyncDispose]();
    namespace?.close();
  });

  it('takes every manifest', async () => {
    await plane.apply(...manifests);
    const { body } = await plane.ask('GET', '/apis/networking.k8s.io/v1/namespaces/selvedge-bench/networkpolicies');
    expect(JSON.parse(body).items).toHaveLength(12);
  });

  it('takes pods of every template in a namespace that is restricted', async () => {
    const templates = manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'Job');
    expect(templates).toHaveLength(7);
    for (const { metadata, spec } of templates) {
      const { template } = spec as { readonly template: { readonly metadata: object; readonly spec: object } };
      const name = { name: `${metadata.name}-pod`, namespace: 'selvedge-bench' };
      await plane.apply({ apiVersion: 'v1', kind: 'Pod', ...template, metadata: { ...template.metadata, ...name } });
    }
  });
});
