/** Tables of flows that are made ahead of the pods that get them, on the real kernel. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type NativeKernel, openNativeKernel } from '../../../src/dataplane/bpf/kernel-native.ts';
import { lockDirectory } from '../../../src/dataplane/bpf/lock.ts';
import type { OpenedBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { isolatedAt, NodePerTest, renamed, tablesOf } from './support/on-kernel.ts';

describeAsRoot('a table of flows ahead of its pod', () => {
  const fresh = new NodePerTest();
  const allTables = ({ object }: OpenedBpfDataplane, family = 4) =>
    object
      .map(`flows${family}`)
      .entries()
      .map(([, id]) => id.readUInt32LE());
  const pinned = () => readdirSync(join(fresh.node.directory, 'flows'));

  test('is the one that the next pod gets, pinned as its own, and then there is another', async () => {
    const [one, other] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const dataplane = await fresh.open();
    await dataplane.apply(isolatedAt(one, [80]), undefined);
    await dataplane.settled();
    const [first] = tablesOf(dataplane);
    const before = allTables(dataplane);
    expect(before).toHaveLength(2);
    expect(pinned()).toHaveLength(1);
    const { both } = pair(one, other);
    await dataplane.apply(both, undefined);
    expect(tablesOf(dataplane).toSorted()).toEqual(before.toSorted());
    expect(tablesOf(dataplane)).toContain(first);
    expect(pinned()).toHaveLength(2);
    await dataplane.settled();
    expect(allTables(dataplane)).toHaveLength(3);
    expect(pinned()).toHaveLength(2);
    expect(await dataplane.observation.verify(both)).toMatchObject({ differences: [] });
  });

  test('is waited for by a pod that comes before it is in', async () => {
    const [one, other] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const dataplane = await fresh.open();
    const { both, alone } = pair(one, other);
    await dataplane.apply(alone, undefined);
    // Ready, and so begun, but no grace period is over since.
    await dataplane.ready();
    await dataplane.apply(both, undefined);
    const tables = tablesOf(dataplane);
    expect(tables).toHaveLength(2);
    expect(new Set(tables).size).toBe(2);
    expect(tables).not.toContain(undefined);
    await dataplane.settled();
    expect(tablesOf(dataplane).toSorted()).toEqual(tables.toSorted());
    expect(allTables(dataplane)).toHaveLength(3);
  });

  test('goes with the agent: the next one makes its own, and no more', async () => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    let last: (number | undefined)[] = [];
    for (let agent = 0; agent < 3; agent++) {
      const dataplane = await fresh.open();
      await dataplane.apply(state, undefined);
      await dataplane.settled();
      const now = allTables(dataplane);
      expect(now).toHaveLength(2);
      if (agent > 0) expect(now.filter((id) => last.includes(id))).toEqual(tablesOf(dataplane));
      last = now;
      dataplane.close();
    }
  });

  test('of a family that the pod does not have goes when it gets the slot, and the last one with the last pod', async () => {
    const ifindex = fresh.node.addVeth();
    const dataplane = await fresh.open();
    await dataplane.apply(isolatedAt(ifindex, [80], 'fd00::1'), undefined);
    await dataplane.settled();
    expect([allTables(dataplane), allTables(dataplane, 6)]).toMatchObject([{ length: 0 }, { length: 2 }]);
    await dataplane.apply(isolatedAt(ifindex, [80], '10.0.0.1'), undefined);
    await dataplane.settled();
    expect([allTables(dataplane), allTables(dataplane, 6)]).toMatchObject([{ length: 2 }, { length: 0 }]);
    await dataplane.apply({ ...isolatedAt(ifindex, [80]), bindings: new Map() }, undefined);
    await dataplane.settled();
    expect([allTables(dataplane), allTables(dataplane, 6)]).toMatchObject([{ length: 0 }, { length: 0 }]);
  });

  test('that could not become a pod’s goes, and the slot’s next pod has its own', () =>
    onKernel(async ({ object, flows }) => {
      const { directory } = fresh.node;
      const slot = 5;
      const pod = (['4', '6'] as const).map((family) => ({ family: Number(family) as 4 | 6, slot, owner: 'a pod' }));
      const inMaps = () => [4, 6].map((family) => object.map(`flows${family}`).get(u32Bytes(slot)) !== undefined);
      await flows.provide(pod);
      expect(inMaps()).toEqual([true, true]);
      // A pin where the directory of pins belongs.
      object.map('flow_seed').pin(join(directory, 'flows'));
      await expect(flows.create(pod)).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
      rmSync(join(directory, 'flows'));
      await flows.delete(pod);
      expect(inMaps()).toEqual([false, false]);
      await flows.provide(pod);
      await flows.create(pod);
      expect(inMaps()).toEqual([true, true]);
      expect(pinned()).toHaveLength(2);
      await flows.delete(pod);
    }));

  test('makes room for the one that its pod has had', () =>
    onKernel(async ({ object, flows }) => {
      const pod = { family: 4 as const, slot: 5, owner: 'a pod' };
      const id = () => object.map('flows4').get(u32Bytes(pod.slot))?.readUInt32LE();
      await flows.create([pod]);
      const before = id();
      // As after another layout's maps: pinned for this owner, with something else in its place.
      const { length } = pinned();
      await object.map('flows4').deleteInnerBatch(u32Bytes(pod.slot), 1);
      await flows.provide([pod]);
      expect(id()).not.toBe(before);
      await flows.create([pod]);
      expect(id()).toBe(before);
      expect(pinned()).toHaveLength(length);
    }));

  async function onKernel(body: (kernel: NativeKernel) => Promise<void>): Promise<void> {
    const options = fresh.node.options();
    const kernel = openNativeKernel(options, lockDirectory(options.directory));
    try {
      await body(kernel);
    } finally {
      kernel.close();
    }
  }

  test('is not made where the kernel does not list what is left of it', async () => {
    const dataplane = await fresh.open({ listsTables: false });
    await dataplane.apply(isolatedAt(fresh.node.addVeth(), [80]), undefined);
    await dataplane.settled();
    expect(allTables(dataplane)).toEqual(tablesOf(dataplane));
  });
});

/** A pod alone, and beside another one. */
function pair(ifindex: number, otherIfindex: number): { alone: DesiredState; both: DesiredState } {
  const alone = isolatedAt(ifindex, [80]);
  const other = renamed(isolatedAt(otherIfindex, [80], '10.0.0.2'));
  const endpoints = new Map([...alone.compiled.endpoints, ...other.compiled.endpoints]);
  const bindings = new Map([...alone.bindings, ...other.bindings]);
  return { alone, both: { ...alone, compiled: { ...alone.compiled, endpoints }, bindings } };
}
