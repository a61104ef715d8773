import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../src/model/cluster.ts';
import { readManifests } from '../../../src/sources/directory/directory-source.ts';
import { Folder, Follower } from './folder.ts';
import { namespace, pod, policy } from './manifest-text.ts';

describe('edits are followed', () => {
  it('each as one change of what it changes', async () => {
    using folder = new Folder({ 'a.yaml': `${namespace('a')}---\n${namespace('b')}` });
    using follower = new Follower([folder.path]);
    const first = await follower.next();
    expect(first.synced).toBe(true);
    expect(first.events).toHaveLength(3);
    folder.write('a.yaml', `${namespace('a')}---\n${namespace('c')}`);
    const { events } = await follower.next();
    expect(events).toMatchObject([
      { type: 'delete', kind: 'Namespace', key: 'b' },
      { type: 'upsert', object: { kind: 'Namespace', name: 'c' } },
    ]);
  });

  it('an empty folder is a change too, then new files and folders are seen', async () => {
    using folder = new Folder();
    using follower = new Follower([folder.path]);
    expect(await follower.next()).toMatchObject({ synced: true, warnings: [] });
    folder.write('deep/er/a.yaml', namespace('a'));
    await follower.until(({ objects }) => objects.has('Namespace a'));
    folder.write('deep/er/b.yaml', namespace('b'));
    await follower.until(({ objects }) => objects.has('Namespace b'));
    rmSync(folder.at('deep'), { recursive: true });
    await follower.until(({ objects }) => !objects.has('Namespace a') && !objects.has('Namespace b'));
  });

  it('saves by rename, deletions', async () => {
    using folder = new Folder({ 'a.yaml': namespace('a', 'old') });
    using follower = new Follower([folder.path]);
    await follower.next();
    folder.write('.a.yaml.tmp', namespace('a', 'new'));
    renameSync(folder.at('.a.yaml.tmp'), folder.at('a.yaml'));
    expect(await follower.next()).toMatchObject({ events: [{ type: 'upsert', object: { labels: { label: 'new' } } }] });
    unlinkSync(folder.at('a.yaml'));
    expect(await follower.next()).toMatchObject({ events: [{ type: 'delete', key: 'a' }], synced: true, warnings: [] });
  });

  it('a single file that is saved by rename again and again', async () => {
    using folder = new Folder({ 'a.yaml': namespace('a', 'v0') });
    using follower = new Follower([folder.at('a.yaml')]);
    await follower.next();
    for (const label of ['v1', 'v2', 'v3']) {
      folder.write('next', namespace('a', label));
      renameSync(folder.at('next'), folder.at('a.yaml'));
      expect(await follower.next()).toMatchObject({ events: [{ type: 'upsert', object: { labels: { label } } }] });
    }
  });

  it('a mounted ConfigMap whose links are swapped', async () => {
    using folder = new Folder({ '..2024_1/a.yaml': namespace('a', 'old'), '..2024_2/a.yaml': namespace('a', 'new') });
    symlinkSync('..2024_1', folder.at('..data'));
    symlinkSync(join('..data', 'a.yaml'), folder.at('a.yaml'));
    using follower = new Follower([folder.path]);
    expect((await follower.next()).events).toHaveLength(2);
    symlinkSync('..2024_2', folder.at('..data_tmp'));
    renameSync(folder.at('..data_tmp'), folder.at('..data'));
    rmSync(folder.at('..2024_1'), { recursive: true });
    expect(await follower.next()).toMatchObject({ events: [{ type: 'upsert', object: { labels: { label: 'new' } } }] });
    writeFileSync(folder.at('..2024_2/a.yaml'), namespace('a', 'newer'));
    expect(await follower.next()).toMatchObject({
      events: [{ type: 'upsert', object: { labels: { label: 'newer' } } }],
    });
  });

  it('a folder that is replaced as a whole, also behind a link further up', async () => {
    using folder = new Folder({ 'one/m/a.yaml': namespace('a', 'one'), 'two/m/a.yaml': namespace('a', 'two') });
    symlinkSync('one', folder.at('now'));
    using follower = new Follower([folder.at('now/m')]);
    await follower.next();
    symlinkSync('two', folder.at('next'));
    renameSync(folder.at('next'), folder.at('now'));
    expect(await follower.next()).toMatchObject({ events: [{ type: 'upsert', object: { labels: { label: 'two' } } }] });
    folder.write('three/a.yaml', namespace('a', 'three'));
    renameSync(folder.at('two/m'), folder.at('two/old'));
    renameSync(folder.at('three'), folder.at('two/m'));
    await follower.until(
      ({ objects }) =>
        (objects.get('Namespace a') as { labels?: object })?.labels !== undefined &&
        follower.last.warnings.length === 0 &&
        JSON.stringify(objects.get('Namespace a')).includes('three'),
    );
    folder.write('two/m/a.yaml', namespace('a', 'four'));
    await follower.until(({ objects }) => JSON.stringify(objects.get('Namespace a')).includes('four'));
  });
});

describe('what cannot be read keeps its last good content in force', () => {
  it('a half-saved file, until it is mended', async () => {
    using folder = new Folder({ 'a.yaml': namespace('a'), 'b.yaml': namespace('b') });
    using follower = new Follower([folder.path]);
    await follower.next();
    folder.write('a.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: { name: a, lab');
    expect(await follower.next()).toMatchObject({
      events: [],
      synced: true,
      warnings: [{ object: 'a.yaml', message: expect.stringMatching(/^line 3: .*stays in force$/) }],
    });
    // Whoever shows a warning puts its origin in front: the place stands in it once.
    expect(follower.last.warnings[0]).not.toHaveProperty('origin');
    folder.write('b.yaml', namespace('b', 'new'));
    expect(await follower.next()).toMatchObject({
      events: [{ object: { name: 'b' } }],
      warnings: [{ object: 'a.yaml' }],
    });
    folder.write('a.yaml', namespace('a'));
    expect(await follower.next()).toMatchObject({ events: [], warnings: [] });
  });

  it('a file that does not parse at the start: not synced until it does', async () => {
    using folder = new Folder({ 'a.yaml': 'a: [', 'b.yaml': namespace('b') });
    using follower = new Follower([folder.path]);
    const first = await follower.next();
    expect(first).toMatchObject({
      synced: false,
      warnings: [{ object: 'a.yaml', message: expect.stringContaining('nothing of it') }],
    });
    expect(follower.objects.has('Namespace b')).toBe(true);
    folder.write('a.yaml', namespace('a'));
    expect(await follower.next()).toMatchObject({ synced: true, warnings: [], events: [{ object: { name: 'a' } }] });
    folder.write('c.yaml', 'a: [');
    expect(await follower.next()).toMatchObject({ synced: true, warnings: [{ object: 'c.yaml' }] });
  });

  it('a folder that goes away, and comes back', async () => {
    using folder = new Folder({ 'm/a.yaml': namespace('a', 'old') });
    using follower = new Follower([folder.at('m')]);
    await follower.next();
    renameSync(folder.at('m'), folder.at('gone'));
    expect(await follower.next()).toMatchObject({
      events: [],
      warnings: [{ object: folder.at('m'), message: expect.stringContaining('ENOENT') }],
    });
    folder.write('new/a.yaml', namespace('a', 'new'));
    renameSync(folder.at('new'), folder.at('m'));
    expect(await follower.next()).toMatchObject({ events: [{ object: { labels: { label: 'new' } } }], warnings: [] });
  });

  it('a folder that is not there at the start, nor the one around it', async () => {
    using folder = new Folder();
    using follower = new Follower([folder.at('x/y')]);
    expect(await follower.next()).toMatchObject({ synced: false, warnings: [{ object: folder.at('x/y') }] });
    folder.write('x/y/a.yaml', namespace('a'));
    await follower.until(({ last, objects }) => last.synced && objects.has('Namespace a'));
  });

  it('a file that is too large, no text, no file', async () => {
    using folder = new Folder({ 'a.yaml': namespace('a'), 'b.yaml': namespace('b'), 'c.yaml': namespace('c') });
    using follower = new Follower([folder.path], { maxBytes: 1000 });
    await follower.next();
    truncateSync(folder.at('a.yaml'), 1001);
    writeFileSync(folder.at('b.yaml'), Uint8Array.of(0x61, 0xff));
    rmSync(folder.at('c.yaml'));
    symlinkSync('nowhere', folder.at('c.yaml'));
    await follower.until(({ last }) => last.warnings.length === 3);
    expect([...follower.objects.keys()].filter((id) => id.startsWith('Namespace'))).toEqual([
      'Namespace a',
      'Namespace b',
      'Namespace c',
    ]);
    expect(follower.last.synced).toBe(true);
    expect(follower.last.warnings.map((warning) => warning.object).sort()).toEqual(['a.yaml', 'b.yaml', 'c.yaml']);
  });

  it('a pipe in the folder is not waited for', async () => {
    using folder = new Folder({ 'a.yaml': namespace('a') });
    execFileSync('mkfifo', [folder.at('b.yaml')]);
    expect((await readManifests([folder.path])).synced).toBe(true);
  });
});

it('unsubscribing leaves nothing behind, also while files are read', async () => {
  const watching = () => process.getActiveResourcesInfo().filter((resource) => resource === 'FSEventWrap').length;
  using folder = new Folder({ 'a.yaml': namespace('a') });
  const settledOne = new Follower([folder.path]);
  await settledOne.next();
  expect(watching()).toBeGreaterThan(0);
  settledOne[Symbol.dispose]();
  const readingOne = new Follower([folder.path]);
  readingOne[Symbol.dispose]();
  await readManifests([folder.path]);
  expect(watching()).toBe(0);
  expect(readingOne.changes).toEqual([]);
});

it('whatever the edits, the changes add up to what a fresh reading finds', async () => {
  const names = fc.constantFrom('a.yaml', 'b.yaml', 'sub/c.yaml', 'sub/d.yaml');
  const text = fc
    .array(
      fc.constantFrom(
        namespace('shop', 'x'),
        namespace('y'),
        pod('web'),
        pod('api', 'spec: { nodeName: n2 }\n'),
        policy('p'),
        policy('p', '{ ingress: [{}] }'),
        'a: [\n',
        'kind: 5\n',
      ),
      { maxLength: 3 },
    )
    .map((parts) => parts.join('---\n'));
  const edit = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), name: names, text }),
    fc.record({ kind: fc.constant('replace' as const), name: names, text }),
    fc.record({ kind: fc.constant('remove' as const), name: names }),
    fc.record({ kind: fc.constant('pause' as const) }),
  );
  let mark = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { maxLength: 12 }), async (edits) => {
      using folder = new Folder();
      using follower = new Follower([folder.path], { quiet: 1 });
      await follower.until(({ changes }) => changes.length > 0);
      // What only the source of this run has seen good would differ from a fresh reading: the last word is whole.
      const settle = async (): Promise<void> => {
        folder.write('mark.yaml', namespace(`mark-${++mark}`));
        await follower.until(({ objects }) => objects.has(`Namespace mark-${mark}`));
      };
      mkdirSync(folder.at('sub'));
      for (const step of edits) {
        if (step.kind === 'pause') await settle();
        else if (step.kind === 'remove') rmSync(folder.at(step.name), { force: true });
        else if (step.kind === 'write') folder.write(step.name, step.text);
        else {
          folder.write('next', step.text);
          renameSync(folder.at('next'), folder.at(step.name));
        }
      }
      const last = new Map(edits.flatMap((step) => ('text' in step ? [[step.name, step.text] as const] : [])));
      const isWhole = (written: string): boolean => written !== '' && !/a: \[|kind: 5/.test(written);
      for (const [name, written] of last) if (!isWhole(written)) folder.write(name, namespace('z'));
      await settle();
      const fresh = await readManifests([folder.path]);
      expect(follower.objects).toEqual(
        new Map(fresh.objects.map((object) => [`${object.kind} ${keyOf(object)}`, object])),
      );
      expect(follower.last.warnings).toEqual(fresh.warnings);
    }),
    { numRuns: 60 },
  );
});
