// The guide on two nodes: its own lines of Helm and kubectl, Kubernetes' API server and DaemonSet controller, with a kubelet of the tests that runs the staged
// files as the pods say. Installed, rolled to another version and back under traffic, one node at a time, and cleaned up.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningCommand, start } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import { admission } from '../agent/support/fed-node.ts';
import { PinDir } from '../agent/support/node-agent.ts';
import { podRecord } from '../agent/support/real-node.ts';
import { GATEWAY, SmallNode } from '../agent/support/small-node.ts';
import { Traffic } from '../agent/support/traffic.ts';
import { namespace, policy } from '../sources/kubernetes/objects.ts';
import type { Kubeconfig } from '../support/api-server/kubeconfig.ts';
import { ControlPlane, missingControlPlane } from '../support/control-plane/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { describeUnless, missingPrivilege } from '../support/privilege.ts';
import { NodeFiles } from './container.ts';
import { forward } from './forward.ts';
import { followGuide, IMAGE, missingCommands } from './guide.ts';
import { Kubelet } from './kubelet.ts';
import { StagedTrees } from './staged-trees.ts';

const CONTROLLER = 'build/tools/daemonsets';
const missingController = existsSync(CONTROLLER) ? undefined : `no ${CONTROLLER}; scripts/test-apiserver builds it`;
const reason = missingPrivilege() ?? missingControlPlane ?? missingCommands ?? missingController;
const NODES = ['node1', 'node2'];
const UPGRADE = 'helm upgrade selvedge deploy/chart --namespace kube-system --reset-then-reuse-values';

describeUnless(reason, 'two nodes', () => {
  const nodes: SmallNode[] = [];
  const kubelets: Kubelet[] = [];
  const changes: string[] = [];
  const closing: (Disposable | AsyncDisposable)[] = [];
  let plane: ControlPlane;
  let admin: Kubeconfig;
  let controller: RunningCommand | undefined;

  beforeAll(async () => {
    const trees = await StagedTrees.make();
    closing.push(trees);
    for (const _ of NODES) nodes.push(new SmallNode());
    const [first, second] = nodes as [SmallNode, SmallNode];
    closing.push(...nodes);
    plane = await ControlPlane.start(first.namespace);
    closing.push(plane);
    closing.push(forward(second.namespace, first.namespace, '127.0.0.1', 6443));
    admin = await credentials('default', 'installer', 'cluster-admin');
    const args = ['--pdeathsig', 'KILL', CONTROLLER, admin.path];
    controller = netns.run(first.namespace, () => start('setpriv', args, { onLine: () => {} }));

    await plane.apply(namespace('shop'), admission('api', ['web']));
    await plane.apply(policy('shop', 'default-deny', { podSelector: {}, policyTypes: ['Ingress'], ingress: [] }));
    for (const [place, name] of NODES.entries()) {
      const labels = { 'kubernetes.io/os': 'linux', 'kubernetes.io/hostname': name };
      const status = { addresses: [{ type: 'InternalIP', address: GATEWAY }] };
      await plane.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, status } as never);
      for (const [rank, app] of ['web', 'api', 'db'].entries()) {
        const [pod, address] = [`${app}${place}`, `10.66.0.${10 * (place + 1) + rank}`];
        nodes[place]?.addPod(pod, address);
        await plane.apply(podRecord(pod, address, { app }, name));
      }
    }
    // As which the API server takes the account's tokens too; its rights come with the chart, and go.
    const account = plane.kubeconfig({ client: plane.certificate('system:serviceaccount:kube-system:selvedge') });
    const images = new Map([
      [`${IMAGE}:0.1.0`, trees.now],
      [`${IMAGE}:next`, trees.next],
      // Of the plain manifests, as the Dockerfile names it.
      ['selvedge:0.1.0', trees.now],
    ]);
    for (const [place, node] of NODES.entries()) {
      const files = new NodeFiles(new PinDir().path);
      const where = { plane, node, namespace: nodes[place]?.namespace ?? '', files };
      const onChange = (change: string) => changes.push(change);
      kubelets.push(new Kubelet({ ...where, images, kubeconfig: account.path, onChange }));
      closing.push(files);
    }
  }, 180_000);

  afterAll(async () => {
    await Promise.all(kubelets.map((kubelet) => kubelet[Symbol.asyncDispose]()));
    controller?.kill('SIGKILL');
    await controller?.ended;
    for (const one of closing.toReversed()) {
      if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]();
      else one[Symbol.dispose]();
    }
  });

  const credentials = async (where: string, name: string, role: string) => {
    const rbac = 'rbac.authorization.k8s.io';
    const subjects = [{ kind: 'ServiceAccount', name, namespace: where }];
    const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: role };
    await plane.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: where } });
    const binding = { apiVersion: `${rbac}/v1`, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects };
    await plane.apply(binding as never);
    return plane.kubeconfig({ token: await plane.token(where, name) });
  };
  const follow = (line: string) => followGuide({ namespace: nodes[0]?.namespace ?? '', kubeconfig: admin.path }, line);
  const begin = () => {
    return Promise.all(
      nodes.map((node, place) => {
        const pairs = (...all: string[]) => all.map((pair) => pair.replaceAll(/\b(web|api|db)\b/g, `$1${place}`));
        const denied = pairs('db api', 'web db', 'db web', 'api web', 'api db');
        return Traffic.start({ node, admitted: pairs('web api'), denied, connected: pairs('web api') });
      }),
    );
  };
  const wrongOf = async (running: readonly Traffic[]) => {
    const reports = await Promise.all(running.map((traffic) => traffic.end()));
    console.log(
      `rolled: ${reports.map(({ rounds, messages }) => `${rounds} rounds, ${messages} messages`).join('; ')}`,
    );
    return reports.flatMap(({ wrong }) => wrong);
  };

  /** What the guide installs is in force on both nodes. */
  const enforced = async () => {
    await follow('kubectl -n kube-system rollout status daemonset/selvedge');
    for (const kubelet of kubelets) {
      expect(await kubelet.container('selvedge')?.exec('selvedge', 'status')).toMatch(/^state +ready$/m);
    }
    const running = await begin();
    await eventually(() => expect(Math.min(...running.map(({ rounds }) => rounds))).toBeGreaterThan(30));
    expect(await wrongOf(running)).toEqual([]);
  };
  const cleanedUp = async () => {
    await follow('kubectl -n kube-system rollout status daemonset/selvedge-cleanup');
    for (const [place, node] of nodes.entries()) expect(node.reaches(`db${place}`, `api${place}`)).toBe(true);
  };
  const noPods = () => {
    const look = async () => {
      const { items } = JSON.parse((await plane.ask('GET', '/api/v1/namespaces/kube-system/pods')).body);
      expect(items).toEqual([]);
    };
    return eventually(look);
  };

  it('are all under the policies once the DaemonSet is rolled out', async () => {
    await follow('helm install selvedge deploy/chart --namespace kube-system --set image.repository=REGISTRY/selvedge');
    await enforced();
  });

  it('are upgraded and rolled back one at a time, and nothing is let through or lost', {
    timeout: 180_000,
  }, async () => {
    changes.splice(0);
    const running = await begin();
    await follow(`${UPGRADE} --set image.tag=NEW`);
    await follow('kubectl -n kube-system rollout status daemonset/selvedge');
    await follow('helm rollback selvedge --namespace kube-system');
    await follow('kubectl -n kube-system rollout status daemonset/selvedge');
    expect(await wrongOf(running)).toEqual([]);
    expect(changes).toHaveLength(8);
    // Never two nodes without.
    for (let turn = 0; turn < changes.length; turn += 2) {
      const [, node = ''] = /^selvedge ends on (.*)$/.exec(changes[turn] ?? '') ?? [];
      expect(changes[turn + 1]).toBe(`selvedge is ready on ${node}`);
    }
  });

  it('are cleaned up, and nothing is left in the cluster', async () => {
    await follow(`${UPGRADE} --set cleanup=true`);
    await cleanedUp();
    await follow('helm uninstall selvedge --namespace kube-system');
    await noPods();
  });

  it('are installed and cleaned up without Helm', { timeout: 180_000 }, async () => {
    await follow('kubectl apply -f deploy/selvedge.yaml');
    await enforced();
    await follow('kubectl delete -f deploy/selvedge.yaml');
    await follow('kubectl apply -f deploy/cleanup.yaml');
    await cleanedUp();
    await follow('kubectl delete -f deploy/cleanup.yaml');
    await noPods();
  });
});
