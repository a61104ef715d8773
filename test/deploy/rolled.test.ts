// The guide on two nodes: Helm and Kubernetes' own API server and DaemonSet controller, with a kubelet of the tests that runs the staged
// files as the pods say. Installed, rolled to another version and back under traffic, one node at a time, and cleaned up.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningCommand, run, start } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import { admission } from '../agent/support/fed-node.ts';
import { PinDir } from '../agent/support/node-agent.ts';
import { podRecord } from '../agent/support/real-node.ts';
import { GATEWAY, SmallNode } from '../agent/support/small-node.ts';
import { Traffic } from '../agent/support/traffic.ts';
import { namespace, policy } from '../sources/kubernetes/objects.ts';
import type { Kubeconfig } from '../support/api-server/kubeconfig.ts';
import { ControlPlane, missingControlPlane } from '../support/control-plane/control-plane.ts';
import { missingPrivilege } from '../support/privilege.ts';
import { NodeFiles } from './container.ts';
import { forward } from './forward.ts';
import { Kubelet } from './kubelet.ts';
import { StagedTrees } from './staged-trees.ts';
import { HELM } from './support.ts';

const CONTROLLER = 'build/tools/daemonsets';
const built = HELM !== undefined && existsSync(CONTROLLER);
const reason = missingPrivilege() ?? missingControlPlane ?? (built ? undefined : `no helm or ${CONTROLLER}`);
const NODES = ['node1', 'node2'];
const CHART = ['deploy/chart', '--namespace', 'kube-system'];
const KEPT = '--reset-then-reuse-values';

(reason === undefined ? describe : describe.skip)(`two nodes${reason ? ` [skipped: ${reason}]` : ''}`, () => {
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
    await helm('install', 'selvedge', ...CHART, '--set', 'image.repository=selvedge');
    const account = plane.kubeconfig({ token: await plane.token('kube-system', 'selvedge') });
    const images = new Map([
      ['selvedge:0.1.0', trees.now],
      ['selvedge:next', trees.next],
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
  }, 60_000);

  const credentials = async (where: string, name: string, role: string) => {
    const rbac = 'rbac.authorization.k8s.io';
    const subjects = [{ kind: 'ServiceAccount', name, namespace: where }];
    const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: role };
    await plane.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: where } });
    const binding = { apiVersion: `${rbac}/v1`, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects };
    await plane.apply(binding as never);
    return plane.kubeconfig({ token: await plane.token(where, name) });
  };
  const helm = (...args: readonly string[]) => {
    const command = [...args, '--kubeconfig', admin.path];
    return netns.run(nodes[0]?.namespace ?? '', () => ({ ended: run(HELM ?? '', command) })).ended;
  };
  /** What `kubectl rollout status` waits for. */
  const rolledOut = (name: string) => {
    const path = `/apis/apps/v1/namespaces/kube-system/daemonsets/${name}`;
    return vi.waitFor(
      async () => {
        const { metadata, status } = JSON.parse((await plane.ask('GET', path)).body);
        expect(status).toMatchObject({
          observedGeneration: metadata.generation,
          desiredNumberScheduled: NODES.length,
          updatedNumberScheduled: NODES.length,
          numberAvailable: NODES.length,
        });
      },
      { timeout: 60_000, interval: 200 },
    );
  };
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

  it('are all under the policies once the DaemonSet is rolled out', { timeout: 90_000 }, async () => {
    await rolledOut('selvedge');
    for (const kubelet of kubelets) {
      expect(await kubelet.container('selvedge')?.exec('selvedge', 'status')).toMatch(/^state +ready$/m);
    }
    const running = await begin();
    await vi.waitFor(() => expect(Math.min(...running.map(({ rounds }) => rounds))).toBeGreaterThan(30), 20_000);
    expect(await wrongOf(running)).toEqual([]);
  });

  it('are upgraded and rolled back one at a time, and nothing is let through or lost', {
    timeout: 180_000,
  }, async () => {
    changes.splice(0);
    const running = await begin();
    await helm('upgrade', 'selvedge', ...CHART, KEPT, '--set', 'image.tag=next');
    await rolledOut('selvedge');
    await helm('rollback', 'selvedge', '--namespace', 'kube-system');
    await rolledOut('selvedge');
    expect(await wrongOf(running)).toEqual([]);
    expect(changes).toHaveLength(8);
    // Never two nodes without.
    for (let turn = 0; turn < changes.length; turn += 2) {
      const [, node = ''] = /^selvedge ends on (.*)$/.exec(changes[turn] ?? '') ?? [];
      expect(changes[turn + 1]).toBe(`selvedge is ready on ${node}`);
    }
  });

  it('are cleaned up, and nothing is left in the cluster', { timeout: 120_000 }, async () => {
    await helm('upgrade', 'selvedge', ...CHART, KEPT, '--set', 'cleanup=true');
    await rolledOut('selvedge-cleanup');
    for (const [place, node] of nodes.entries()) expect(node.reaches(`db${place}`, `api${place}`)).toBe(true);
    await helm('uninstall', 'selvedge', '--namespace', 'kube-system');
    await vi.waitFor(
      async () => {
        const { items } = JSON.parse((await plane.ask('GET', '/api/v1/namespaces/kube-system/pods')).body);
        expect(items).toEqual([]);
      },
      { timeout: 30_000 },
    );
  });
});
