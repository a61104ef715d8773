// The plain manifests against the program: what they ask of a node and of the API server is what the agent takes, and no more.
import { expect, test } from 'vitest';
import { agentCommand } from '../../src/commands/agent.ts';
import { cleanupCommand } from '../../src/commands/cleanup.ts';
import { cniCommand } from '../../src/commands/cni.ts';
import { resourcesFor } from '../../src/sources/kubernetes/resources.ts';
import { only, readManifests } from './support.ts';

const manifests = readManifests('selvedge.yaml');
const daemonSet = only(manifests, 'DaemonSet');
const { metadata, spec } = daemonSet.spec.template;
const [agent] = spec.containers;
const cleanup = only(readManifests('cleanup.yaml'), 'DaemonSet').spec.template.spec;

test('the agent runs on every Linux node, one of which changes at a time', () => {
  expect(spec).toMatchObject({
    hostNetwork: true,
    priorityClassName: 'system-node-critical',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
  });
  expect(daemonSet.spec.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } });
  expect(spec).not.toHaveProperty('hostPID');
  expect(spec).not.toHaveProperty('hostIPC');
});

test('flows --all-nodes finds its pods and the container', () => {
  expect(daemonSet.metadata).toMatchObject({ name: 'selvedge', namespace: 'kube-system' });
  expect(metadata.labels['app.kubernetes.io/name']).toBe('selvedge');
  expect(metadata.labels).toMatchObject(daemonSet.spec.selector.matchLabels);
  expect(agent.name).toBe('agent');
});

test('every argument is one of the program', () => {
  const [command, ...options] = agent.args;
  expect(command).toBe('agent');
  expect(parsed(agentCommand(), options)).toEqual([]);
  const [first, last] = cleanup.initContainers ?? [];
  expect(first?.args[0]).toBe('cleanup');
  expect(parsed(cleanupCommand(), first?.args.slice(1) ?? [])).toEqual([]);
  expect(last?.args.slice(0, 2)).toEqual(['cni', 'uninstall']);
  const uninstall = cniCommand().commands.find((subcommand) => subcommand.name() === 'uninstall');
  expect(uninstall && parsed(uninstall, last?.args.slice(2) ?? [])).toEqual([]);
});

test('the probes ask where the agent listens', () => {
  const [port] = agent.ports;
  expect(port).toMatchObject({ name: 'health', containerPort: 9971, hostPort: 9971 });
  expect(agent.args).toContain('--health-address=:9971');
  expect(agent.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'health' });
  expect(agent.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'health' });
});

test('the node has its name from the cluster', () => {
  expect(agent.env).toEqual([{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }]);
});

test('the containers get the capabilities that are needed and nothing else of the node', () => {
  const needed = ['NET_ADMIN', 'NET_BROADCAST', 'BPF', 'PERFMON', 'NET_RAW'];
  for (const container of [agent, ...(cleanup.initContainers ?? []), ...cleanup.containers]) {
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
    expect(container.securityContext).not.toHaveProperty('privileged');
    expect(container.securityContext.capabilities.drop).toEqual(['ALL']);
  }
  expect(agent.securityContext.capabilities.add).toEqual(needed);
  const added = cleanup.initContainers?.map(({ securityContext }) => securityContext.capabilities.add);
  expect(added).toEqual([needed, undefined]);
});

test('the agent sees the bpffs, the socket’s folder and the lock of iptables of the node', () => {
  const paths = ['/sys/fs/bpf', '/run/xtables.lock', '/run/selvedge'];
  expect(spec.volumes.map(({ hostPath }) => hostPath.path)).toEqual(paths);
  expect(agent.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(paths);
});

test('every mount has its volume, and every volume a mount', () => {
  for (const pod of [spec, cleanup]) {
    const mounted = [...pod.containers, ...(pod.initContainers ?? [])].flatMap(({ volumeMounts = [] }) => volumeMounts);
    expect(new Set(mounted.map(({ name }) => name))).toEqual(new Set(pod.volumes.map(({ name }) => name)));
  }
});

test('its role lists and watches the collections that the agent follows, and nothing else', () => {
  const allowed = (only(manifests, 'ClusterRole').rules ?? []).flatMap(({ apiGroups: [group], resources, verbs }) => {
    expect(verbs).toEqual(['list', 'watch']);
    return resources.map((plural) => `${group === '' ? '/api/v1' : `/apis/${group}/v1`}/${plural}`);
  });
  expect(allowed.sort()).toEqual(
    resourcesFor('node1')
      .map(({ path }) => path)
      .sort(),
  );
});

interface Parsing {
  exitOverride(): unknown;
  parseOptions(args: string[]): { readonly operands: string[]; readonly unknown: string[] };
}

/** What the command does not know; a value that it refuses is thrown. */
function parsed(command: Parsing, args: readonly string[]): string[] {
  command.exitOverride();
  const { operands, unknown } = command.parseOptions([...args]);
  return [...operands, ...unknown];
}
