// The guide's way by Helm against Kubernetes' own API server: installed, upgraded, rolled back, cleaned up and uninstalled, by the very
// commands of docs/install-flannel.md. Nobody runs the pods: what these do is test/deploy/staged.test.ts.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SmallNode } from '../agent/support/small-node.ts';
import type { Kubeconfig } from '../support/api-server/kubeconfig.ts';
import { ControlPlane, missingControlPlane } from '../support/control-plane/control-plane.ts';
import { describeUnless, missingPrivilege } from '../support/privilege.ts';
import { followGuide, IMAGE, missingCommands, NEXT } from './guide.ts';
import type { Manifest } from './support.ts';

const reason = missingPrivilege() ?? missingControlPlane ?? missingCommands;
const IN_KUBE_SYSTEM = '/namespaces/kube-system';
const COLLECTIONS = [
  `/apis/apps/v1${IN_KUBE_SYSTEM}/daemonsets`,
  `/api/v1${IN_KUBE_SYSTEM}/serviceaccounts`,
  '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  `/api/v1${IN_KUBE_SYSTEM}/secrets`,
];

describeUnless(reason, 'the chart', () => {
  let node: SmallNode;
  let plane: ControlPlane;
  let config: Kubeconfig;

  beforeAll(async () => {
    node = new SmallNode();
    plane = await ControlPlane.start(node.namespace);
    const account = { kind: 'ServiceAccount', name: 'installer', namespace: 'default' };
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' };
    await plane.apply(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'installer', namespace: 'default' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'installer' },
        roleRef,
        subjects: [account],
      } as never,
    );
    config = plane.kubeconfig({ token: await plane.token('default', 'installer') });
  });

  afterAll(async () => {
    await plane?.[Symbol.asyncDispose]();
    node?.[Symbol.dispose]();
  });

  const follow = (line: string) => followGuide({ namespace: node.namespace, kubeconfig: config.path }, line);
  const ours = async () => {
    const lists = await Promise.all(
      COLLECTIONS.map(async (path) => JSON.parse((await plane.ask('GET', path)).body).items),
    );
    return (lists.flat() as Manifest[]).map(({ metadata }) => metadata.name).filter((name) => /selvedge/.test(name));
  };
  const image = async (name = 'selvedge') => {
    const { body } = await plane.ask('GET', `/apis/apps/v1${IN_KUBE_SYSTEM}/daemonsets/${name}`);
    return (JSON.parse(body) as Manifest).spec.template.spec.containers[0].image;
  };
  const may = async (verb: string, resource: string, group = '') => {
    const spec = { user: 'system:serviceaccount:kube-system:selvedge', resourceAttributes: { verb, resource, group } };
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
    return JSON.parse((await plane.ask('POST', path, JSON.stringify(review))).body).status.allowed;
  };

  it('is installed, and its agents may read what they follow and nothing else', async () => {
    const notes = await follow(
      'helm install selvedge deploy/chart --namespace kube-system --set image.repository=REGISTRY/selvedge',
    );
    expect(notes).toContain('kubectl -n kube-system rollout status daemonset/selvedge\n');
    expect(await image()).toBe(`${IMAGE}:0.1.0`);
    for (const resource of ['pods', 'namespaces', 'services', 'nodes']) expect(await may('watch', resource)).toBe(true);
    expect(await may('list', 'networkpolicies', 'networking.k8s.io')).toBe(true);
    for (const verb of ['get', 'list', 'watch']) expect(await may(verb, 'secrets')).toBe(false);
    for (const verb of ['create', 'update', 'patch', 'delete']) expect(await may(verb, 'pods')).toBe(false);
  });

  it('is upgraded and rolled back', async () => {
    await follow(
      'helm upgrade selvedge deploy/chart --namespace kube-system --reset-then-reuse-values --set image.tag=NEW',
    );
    expect(await image()).toBe(`${IMAGE}:${NEXT}`);
    await follow('helm rollback selvedge --namespace kube-system');
    expect(await image()).toBe(`${IMAGE}:0.1.0`);
  });

  it('is replaced by what cleans up, and leaves nothing when it is uninstalled', async () => {
    await follow(
      'helm upgrade selvedge deploy/chart --namespace kube-system --reset-then-reuse-values --set cleanup=true',
    );
    expect((await ours()).filter((name) => !name.startsWith('sh.helm.'))).toEqual(['selvedge-cleanup']);
    expect(await image('selvedge-cleanup')).toBe(`${IMAGE}:0.1.0`);
    await follow('helm uninstall selvedge --namespace kube-system');
    expect(await ours()).toEqual([]);
  });
});
