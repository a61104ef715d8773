import { symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ClusterObject, keyOf } from '../../../src/model/cluster.ts';
import { readManifests } from '../../../src/sources/directory/directory-source.ts';
import { Folder } from './folder.ts';
import { namespace, pod, policy, template, workload } from './manifest-text.ts';

const idsOf = (objects: readonly ClusterObject[], kind: string): string[] =>
  objects
    .filter((object) => object.kind === kind)
    .map(keyOf)
    .sort();

describe('manifests are read', () => {
  it('from folders with their subfolders, hidden files and others left alone', async () => {
    using folder = new Folder({
      'a.yaml': namespace('a'),
      'b.yml': namespace('b'),
      'sub/c.json': '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}',
      'sub/notes.txt': 'not: [yaml',
      '.a.yaml.swp': 'not: [yaml',
      '.git/d.yaml': namespace('d'),
    });
    symlinkSync(folder.path, folder.at('loop'));
    const { objects, warnings, synced } = await readManifests([folder.path]);
    expect(idsOf(objects, 'Namespace')).toEqual(['a', 'b', 'c']);
    expect(objects.find((object) => object.name === 'c')?.origin).toEqual({ file: 'sub/c.json', document: 1, line: 1 });
    expect({ warnings, synced }).toEqual({ warnings: [], synced: true });
  });

  it('from files, whatever their names', async () => {
    using folder = new Folder({ one: namespace('a'), 'two.yaml': namespace('b') });
    const { objects } = await readManifests([folder.at('one'), folder.at('two.yaml')]);
    expect(idsOf(objects, 'Namespace')).toEqual(['a', 'b']);
    expect(objects.find((object) => object.name === 'a')?.origin?.file).toBe(folder.at('one'));
  });

  it('and the namespaces that they imply exist, but not those whose manifest is not valid', async () => {
    const broken = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: lost, labels: { a: 1 } }\n';
    using folder = new Folder({ 'a.yaml': `${pod('web')}---\n${policy('web').replace('shop', 'lost')}---\n${broken}` });
    const { objects } = await readManifests([folder.path]);
    expect(objects.filter((object) => object.kind === 'Namespace')).toEqual([
      { kind: 'Namespace', name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } },
    ]);
  });

  it('with nodes and addresses for what has none, unless that is not wanted', async () => {
    using folder = new Folder({
      'a.yaml': `${pod('web')}---\n${pod('later', 'status: { phase: Pending }\n')}---\n${pod('fixed', 'status: { podIP: 10.9.9.9 }')}`,
    });
    const { objects } = await readManifests([folder.path]);
    const addresses = objects.flatMap((object) =>
      object.kind === 'Pod' ? [[object.name, object.addresses.length]] : [],
    );
    expect(addresses).toEqual([
      ['web', 2],
      ['later', 0],
      ['fixed', 1],
    ]);
    expect(idsOf(objects, 'Node')).toEqual(['node1']);
    const plain = await readManifests([folder.path], { allocate: false });
    expect(plain.objects.find((object) => object.name === 'web')).toMatchObject({ addresses: [] });
    expect(idsOf(plain.objects, 'Node')).toEqual([]);
  });

  it('and other kinds are named once', async () => {
    const other = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n';
    using folder = new Folder({ 'a.yaml': `${other}---\n${other}`, 'b.yaml': other });
    const { warnings, synced } = await readManifests([folder.path]);
    expect(warnings).toMatchObject([
      {
        object: 'v1 ConfigMap',
        field: '',
        message: expect.stringContaining('all 3'),
        origin: { file: 'a.yaml', line: 1 },
      },
    ]);
    expect(synced).toBe(true);
  });

  it('and policies of other kinds and versions are said not to be enforced', async () => {
    const old = 'apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: { name: a, namespace: shop }\n';
    const other = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: a, namespace: shop }\n';
    using folder = new Folder({ 'a.yaml': `${old}---\n${other}` });
    const { warnings } = await readManifests([folder.path]);
    expect(warnings.map(({ object, message }) => [object, message])).toEqual([
      ['extensions/v1beta1 NetworkPolicy', 'policies of this kind are not enforced here; it is left alone'],
      ['cilium.io/v2 CiliumNetworkPolicy', 'policies of this kind are not enforced here; it is left alone'],
    ]);
  });

  it('and of two objects with one name the first stands', async () => {
    using folder = new Folder({
      'b.yaml': namespace('x', 'second'),
      'a.yaml': `${namespace('y')}---\n${namespace('x', 'first')}`,
    });
    const { objects, warnings } = await readManifests([folder.path]);
    expect(objects.find((object) => object.name === 'x')).toMatchObject({ labels: { label: 'first' } });
    expect(warnings).toMatchObject([
      {
        object: 'Namespace x',
        message: expect.stringContaining('a.yaml, document 2, line 5'),
        origin: { file: 'b.yaml' },
      },
    ]);
  });
});

describe('workloads count as their pods', () => {
  const cases: [string, string, string, string[]][] = [
    ['Deployment', 'apps/v1', `{ replicas: 2, template: ${template} }`, ['shop/web-0', 'shop/web-1']],
    ['ReplicaSet', 'apps/v1', `{ template: ${template} }`, ['shop/web-0']],
    [
      'StatefulSet',
      'apps/v1',
      `{ replicas: 2, ordinals: { start: 5 }, template: ${template} }`,
      ['shop/web-5', 'shop/web-6'],
    ],
    ['DaemonSet', 'apps/v1', `{ template: ${template} }`, ['shop/web-a', 'shop/web-b']],
    ['Job', 'batch/v1', `{ parallelism: 2, template: ${template} }`, ['shop/web-0', 'shop/web-1']],
    ['CronJob', 'batch/v1', `{ jobTemplate: { spec: { template: ${template} } } }`, ['shop/web-0']],
    ['ReplicationController', 'v1', `{ replicas: 0, template: ${template} }`, []],
  ];
  it.each(cases)('%s', async (kind, version, spec, expected) => {
    const nodes = 'apiVersion: v1\nkind: NodeList\nitems: [{ metadata: { name: b } }, { metadata: { name: a } }]\n';
    using folder = new Folder({ 'a.yaml': `${nodes}---\n${workload(kind, version, spec)}` });
    const { objects, warnings } = await readManifests([folder.path]);
    expect(warnings).toEqual([]);
    expect(idsOf(objects, 'Pod')).toEqual(expected);
    for (const object of objects.filter((one) => one.kind === 'Pod')) {
      expect(object).toMatchObject({ labels: { app: 'web' }, ports: [{ protocol: 'TCP', port: 80 }], finished: false });
      expect(object.addresses).toHaveLength(2);
    }
  });

  it('but not where the manifests hold what they made', async () => {
    const owned = (text: string, owner: string) =>
      text.replace(
        'namespace: shop',
        `namespace: shop, ownerReferences: [{ kind: ${owner}, name: web, controller: true }]`,
      );
    const spec = `{ template: ${template} }`;
    using folder = new Folder({
      'a.yaml': `${workload('Deployment', 'apps/v1', spec)}---\n${owned(workload('ReplicaSet', 'apps/v1', spec), 'Deployment')}---\n${owned(pod('web-x1'), 'ReplicaSet')}`,
    });
    expect(idsOf((await readManifests([folder.path])).objects, 'Pod')).toEqual(['shop/web-x1']);
  });

  it('nor where a pod already has the name', async () => {
    using folder = new Folder({
      'a.yaml': `${workload('Deployment', 'apps/v1', `{ template: ${template} }`)}---\n${pod('web-0')}`,
    });
    const { objects, warnings } = await readManifests([folder.path]);
    expect(objects.find((object) => object.kind === 'Pod')).toMatchObject({ labels: {} });
    expect(warnings).toMatchObject([{ object: 'Pod shop/web-0 of Deployment web', origin: { line: 1 } }]);
  });
});
