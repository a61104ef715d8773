/** Pins that somebody has taken, or put others in their place, while no agent ran: the next one enforces its state all the same. */
import { existsSync, mkdirSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BpfMap } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { isolatedAt, NodePerTest, programsOn } from './support/on-kernel.ts';

/** Paths as a test finds them. */
interface Pins {
  readonly directory: string;
  readonly maps: string;
  readonly links: readonly [toPod: string, fromPod: string];
}

const emptyOut = (folder: string) => {
  for (const name of readdirSync(folder)) unlinkSync(join(folder, name));
};

/** Somebody else's map under a name. */
function replace(path: string): void {
  if (existsSync(path)) unlinkSync(path);
  using map = BpfMap.create({ name: 'other', type: 'hash', keySize: 8, valueSize: 12, maxEntries: 4, flags: 0 });
  map.pin(path);
}

const DAMAGES: readonly [string, (pins: Pins) => void][] = [
  [
    'maps are missing, as where an agent was killed while it removed them',
    ({ maps }) => {
      for (const name of ['counters', 'generation', 'ports_left']) unlinkSync(join(maps, name));
    },
  ],
  ['all maps are missing', ({ maps }) => emptyOut(maps)],
  [
    'other things have the names of maps',
    ({ maps, links }) => {
      replace(join(maps, 'policy_left'));
      for (const name of ['settings_left', 'slots_left']) unlinkSync(join(maps, name));
      renameSync(links[0], join(maps, 'settings_left'));
      mkdirSync(join(maps, 'slots_left'));
    },
  ],
  [
    'other things have the names of links, and there are folders of nobody’s layout',
    ({ directory, links: [map, folder] }) => {
      replace(map);
      unlinkSync(folder);
      mkdirSync(folder);
      mkdirSync(join(directory, 'links', 'from_pod_999999'));
      replace(join(directory, 'links', 'somebody'));
      mkdirSync(join(directory, 'maps-other', 'deep'), { recursive: true });
      replace(join(directory, 'maps-other', 'generation'));
    },
  ],
];

describeAsRoot('an agent whose pins', () => {
  const fresh = new NodePerTest();

  test.each(DAMAGES)('are damaged enforces its state: %s', async (_, damage) => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await fresh.open();
    await first.apply(state, undefined);
    await first.settled();
    first.close();
    const { directory } = fresh.node;
    const maps = join(directory, readdirSync(directory).find((name) => name.startsWith('maps-')) as string);
    const [toPod, fromPod] = ['to_pod', 'from_pod'].map((name) => join(directory, 'links', `${name}_${ifindex}`));
    damage({ directory, maps, links: [toPod as string, fromPod as string] });
    const second = await fresh.open();
    await second.apply(state, undefined);
    await second.settled();
    expect(programsOn(ifindex)).toHaveLength(2);
    expect(await second.observation.verify(state)).toMatchObject({ differences: [] });
    expect(readdirSync(directory).filter((name) => name.startsWith('maps-'))).toHaveLength(1);
  });

  test('say what no agent has written: numbers beyond all bounds, rows of nothing', async () => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await fresh.open();
    await first.apply(state, undefined);
    await first.settled();
    for (const name of ['policy', 'ipcache4', 'cidrs4', 'slots', 'endpoints', 'ports'])
      for (const side of ['left', 'right']) {
        const map = first.object.map(`${name}_${side}`);
        const { keySize, valueSize } = map.info;
        // Of an array or a prefix no key but a small one is any.
        const key = Buffer.alloc(keySize);
        key[0] = 7;
        map.set(key, Buffer.alloc(valueSize, 0xff));
      }
    first.close();
    const second = await fresh.open();
    await second.apply(state, undefined);
    await second.settled();
    expect(await second.observation.verify(state)).toMatchObject({ differences: [] });
  });
});
