/** Connections of pods whose maps get another layout: they go on by the same tables, judged anew, or are left behind as a whole. */
import { mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import { type NativeKernel, openNativeKernel } from '../../../src/dataplane/bpf/kernel-native.ts';
import { lockDirectory } from '../../../src/dataplane/bpf/lock.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import type { Address } from '../../../src/model/address.ts';
import { BpfMap, type BpfObject } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { openingPacket } from './support/kernel-node.ts';
import { isolatedAt, NodePerTest, renamed, tablesOf } from './support/on-kernel.ts';

const DROP = 2;
const CONTINUE = -1;
const POD = '10.0.0.1' as Address;
const PEER = '192.0.2.1' as Address;
/** Every other one of these is another layout. */
const LAYOUTS = [{}, { mapSizes: { ipcache4: 1000 } }];
const OTHER_LAYOUT = LAYOUTS[1];

describeAsRoot('connections', () => {
  const fresh = new NodePerTest();
  const pinned = () => readdirSync(join(fresh.node.directory, 'flows'));
  const open = (more = {}) => fresh.open({ constants: { conntrack: false }, ...more });

  test('keep their tables in another layout, and back, until it is another pod at the interface', async () => {
    const ifindex = fresh.node.addVeth();
    let before: { tables: unknown[]; seed: Buffer | undefined; generation: bigint } | undefined;
    for (const layout of [...LAYOUTS, ...LAYOUTS]) {
      const dataplane = await open(layout);
      expect(dataplane.earlierFlows).toBe(before && 'taken');
      const { generation } = await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
      await dataplane.settled();
      const now = { tables: tablesOf(dataplane), seed: seedOf(dataplane), generation };
      expect(now.tables).toHaveLength(1);
      if (before !== undefined) {
        expect(now).toMatchObject({ tables: before.tables, seed: before.seed });
        expect(generation).toBeGreaterThan(before.generation);
        expect(await dataplane.observation.verify(isolatedAt(ifindex, [80]))).toMatchObject({ differences: [] });
      }
      before = now;
      dataplane.close();
    }
    const last = await open(OTHER_LAYOUT);
    await last.apply(isolatedAt(ifindex, [80], '10.0.0.77'), undefined);
    await last.settled();
    expect(tablesOf(last)).toHaveLength(1);
    expect(tablesOf(last)).not.toEqual(before?.tables);
    expect(pinned()).toHaveLength(1);
    await last.apply({ ...isolatedAt(ifindex, [80]), bindings: new Map() }, undefined);
    await last.settled();
    expect(pinned()).toEqual([]);
  });

  test.each([
    ['another pod', (state: DesiredState) => renamed(state)],
    ['another address', (_: DesiredState, ifindex: number) => isolatedAt(ifindex, [80], '10.0.0.77')],
  ])('of %s at the same interface stay behind', async (_, change) => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await open();
    await first.apply(state, undefined);
    const before = tablesOf(first);
    first.close();
    const second = await open(OTHER_LAYOUT);
    await second.apply(change(state, ifindex), undefined);
    expect(tablesOf(second)).toHaveLength(1);
    expect(tablesOf(second)).not.toEqual(before);
  });

  test('go on where only their entries admit them, and a packet of none is dropped', async () => {
    const ifindex = fresh.node.addVeth();
    const first = await open();
    await first.apply(isolatedAt(ifindex, []), undefined);
    expect(passes(first.object, 'from_pod', ifindex, { source: POD, destination: PEER, port: 53 })).toBe(CONTINUE);
    first.close();
    const second = await open(OTHER_LAYOUT);
    await second.apply(isolatedAt(ifindex, []), undefined);
    const reply = { source: PEER, destination: POD, from: 53, port: 40_000 };
    expect(passes(second.object, 'to_pod', ifindex, reply)).toBe(CONTINUE);
    expect(passes(second.object, 'to_pod', ifindex, { ...reply, from: 54 })).toBe(DROP);
  });

  test('that the first state of the new layout does not admit end, whatever was kept of them under the old number', async () => {
    const ifindex = fresh.node.addVeth();
    const first = await open();
    const { generation } = await first.apply(isolatedAt(ifindex, [80, 81]), undefined);
    const ends = { source: PEER, destination: POD, port: 80, protocol: 'TCP' as const };
    const stays = { ...ends, port: 81 };
    for (const flow of [ends, stays]) {
      expect(passes(first.object, 'to_pod', ifindex, flow)).toBe(CONTINUE);
      expect(passes(first.object, 'to_pod', ifindex, { ...flow, underWay: true })).toBe(CONTINUE);
    }
    first.close();
    const second = await open(OTHER_LAYOUT);
    // A new layout's own counting would come to the same number.
    expect(generation).toBe(1n);
    await second.apply(isolatedAt(ifindex, [81]), undefined);
    expect(passes(second.object, 'to_pod', ifindex, { ...ends, underWay: true })).toBe(DROP);
    expect(passes(second.object, 'to_pod', ifindex, { ...stays, underWay: true })).toBe(CONTINUE);
  });

  test('stay behind where tables have another form, and nothing else does', async () => {
    const ifindex = fresh.node.addVeth();
    const first = await open();
    await first.apply(isolatedAt(ifindex, [80]), undefined);
    const before = { tables: tablesOf(first), seed: seedOf(first) };
    first.close();
    const second = await open({ mapSizes: { flowsPerEndpoint: 128 } });
    expect(second.earlierFlows).toBe('left');
    const { generation } = await second.apply(isolatedAt(ifindex, [80]), undefined);
    expect(generation).toBe(1n);
    expect(tablesOf(second)).not.toEqual(before.tables);
    expect(seedOf(second)).not.toEqual(before.seed);
    expect(pinned()).toHaveLength(1);
    const opening = { source: PEER, destination: POD, protocol: 'TCP' as const };
    const verdicts = [80, 81].map((port) => passes(second.object, 'to_pod', ifindex, { ...opening, port }));
    expect(verdicts).toEqual([CONTINUE, DROP]);
  });

  test.each([
    ['keep their tables where pins of their own layout are missing', ['counters', 'ports_left'], {}, 'taken'],
    ['stay behind where pins of the other layout are missing', ['flow_seed'], OTHER_LAYOUT, 'left'],
  ] as const)('%s', async (_, missing, layout, becomes) => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await open();
    await first.apply(state, undefined);
    const before = tablesOf(first);
    first.close();
    const { directory } = fresh.node;
    const maps = readdirSync(directory).find((name) => name.startsWith('maps-')) as string;
    for (const name of missing) unlinkSync(join(directory, maps, name));
    const second = await open(layout);
    expect(second.earlierFlows).toBe(becomes);
    await second.apply(state, undefined);
    await second.settled();
    expect(isDeepStrictEqual(tablesOf(second), before)).toBe(becomes === 'taken');
    expect(await second.observation.verify(state)).toMatchObject({ differences: [] });
    expect(readdirSync(directory).filter((name) => name.startsWith('maps-'))).toHaveLength(1);
  });

  test('stay behind where others have put something in place of their tables’ pins, and that goes', async () => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await open();
    await first.apply(state, undefined);
    const before = tablesOf(first);
    first.close();
    const folder = join(fresh.node.directory, 'flows');
    const [name] = pinned();
    unlinkSync(join(folder, `${name}`));
    mkdirSync(join(folder, `${name}`, 'deep'), { recursive: true });
    using map = BpfMap.create({ type: 'array', keySize: 4, valueSize: 8, maxEntries: 1 });
    map.pin(join(folder, 'somebody'));
    const second = await open(OTHER_LAYOUT);
    await second.apply(state, undefined);
    await second.settled();
    expect(pinned()).toEqual([name]);
    expect(tablesOf(second)).not.toEqual(before);
    expect(tablesOf(second)).toHaveLength(1);
  });

  test.each(['before', 'after'] as const)(
    'keep their tables though the agent is killed just %s its first state is in force, and whichever version comes next',
    async (when) => {
      const ifindex = fresh.node.addVeth();
      const state = isolatedAt(ifindex, [80]);
      const first = await open();
      await first.apply(state, undefined);
      const tables = tablesOf(first);
      first.close();
      let last = first.generation;
      // Each finds the maps of the ones before, and is killed itself.
      for (const layout of [OTHER_LAYOUT, OTHER_LAYOUT, {}, OTHER_LAYOUT]) {
        const killed = openKilled(when, layout);
        await killed.dataplane.begin('closed');
        await killed.dataplane.apply(state, undefined).catch(() => {});
        expect(tablesOf(killed.kernel)).toEqual(tables);
        const { generation } = killed.dataplane;
        if (generation > last) last = generation;
        killed.dataplane.close();
      }
      // Back, and nothing to write: the state that is in force has a number above all the same, for the other maps go.
      const back = await open();
      const applied = await back.apply(state, undefined);
      expect(applied.writes).toBe(0);
      expect(applied.generation).toBeGreaterThan(last);
      last = applied.generation;
      back.close();
      for (const [turn, layout] of [{}, OTHER_LAYOUT, {}].entries()) {
        const next = await open(layout);
        const { generation } = await next.apply(isolatedAt(ifindex, [81 + turn]), undefined);
        expect(generation).toBeGreaterThan(last);
        last = generation;
        await next.settled();
        expect(tablesOf(next)).toEqual(tables);
        next.close();
      }
    },
  );

  /** As it is when it is killed: nothing of what comes later is done. */
  function openKilled(when: 'before' | 'after', layout: object | undefined): Killed {
    const options = fresh.node.options({ constants: { conntrack: false }, ...layout });
    const kernel = openNativeKernel(options, lockDirectory(options.directory));
    const { load, taken } = kernel.generation;
    const store = (value: bigint) => {
      // `begin` has its own, where nothing of this layout is in force.
      if (when === 'before' && load() !== 0n) throw new Error('killed');
      kernel.generation.store(value);
    };
    Object.assign(kernel.attachments, { renew: () => [], older: () => true });
    const dataplane = new BpfDataplane({
      ...kernel,
      generation: { load, taken, store },
      removeOtherLayouts: () => {},
    });
    onTestFinished(() => dataplane.close());
    return { kernel, dataplane };
  }
});

interface Killed {
  readonly kernel: NativeKernel;
  readonly dataplane: BpfDataplane;
}

function seedOf({ object }: { readonly object: BpfObject }): Buffer | undefined {
  return object.map('flow_seed').get(u32Bytes(0));
}

interface Packet {
  readonly source: Address;
  readonly destination: Address;
  readonly from?: number;
  readonly port: number;
  readonly protocol?: 'TCP' | 'UDP';
  /** Of TCP: no SYN. */
  readonly underWay?: boolean;
}

/** UDP from port 40000 unless said. */
function passes(object: BpfObject, hook: 'from_pod' | 'to_pod', ifindex: number, packet: Packet): number {
  const { from = 40_000, underWay = false, protocol = 'UDP' } = packet;
  const bytes = openingPacket({ ...packet, protocol });
  const transport = 14 + 20;
  bytes.writeUInt16BE(from, transport);
  if (underWay) bytes.writeUInt16BE(0x5010, transport + 12);
  const context = { ifindex, ingressIfindex: hook === 'to_pod' ? ifindex + 1 : ifindex };
  return object.program(hook).testRun({ packet: bytes, context }).returnValue;
}
