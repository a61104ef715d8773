/** The data plane on the real kernel, taking over what an agent before it, of the same layout or of another, has pinned. */
import { readdirSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../../../src/child-process.ts';
import { SIDES } from '../../../src/dataplane/bpf/object.ts';
import type { OpenedBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { TcAttachments } from '../../../src/dataplane/bpf/tc-attachments.ts';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { Endpoint } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { type BpfMap, features, netns } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { isolatedAt, NodePerTest, programsOn, tablesOf } from './support/on-kernel.ts';

describeAsRoot('an agent after another', () => {
  const fresh = new NodePerTest();

  test('a restarted agent takes over what is pinned, writes only differences and renews the programs', async () => {
    const ifindex = fresh.node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await fresh.open();
    const { generation } = await first.apply(state, undefined);
    await first.settled();
    const before = programsOn(ifindex);
    first.close();
    const second = await fresh.open();
    expect(await second.apply(state, undefined)).toMatchObject({ generation, writes: 0 });
    expect(programsOn(ifindex).map(({ programId }) => programId)).not.toEqual(before.map(({ programId }) => programId));
    expect(programsOn(ifindex)).toHaveLength(2);
    expect(await second.apply(isolatedAt(ifindex, [81]), undefined)).toMatchObject({
      generation: generation + 1n,
      writes: 3,
    });
  });

  test.each([
    ['', true],
    [', also on a kernel that takes long to list them', false],
  ])(
    'an endpoint keeps its table of flows over a restart, and another pod gets a fresh one%s',
    async (_, listsTables) => {
      const ifindex = fresh.node.addVeth();
      const first = await fresh.open({ listsTables });
      await first.apply(isolatedAt(ifindex, [80]), undefined);
      const before = tablesOf(first);
      expect(before).toHaveLength(1);
      first.close();
      const second = await fresh.open({ listsTables });
      await second.apply(isolatedAt(ifindex, [80]), undefined);
      await second.settled();
      expect(tablesOf(second)).toEqual(before);
      await second.apply(isolatedAt(ifindex, [80], '10.0.0.77'), undefined);
      await second.settled();
      expect(tablesOf(second)).toHaveLength(1);
      expect(tablesOf(second)).not.toEqual(before);
    },
  );

  test('a restarted agent finds connections where the one before has put them: the numbers that place them stay', async () => {
    const seedOf = ({ object }: OpenedBpfDataplane) => object.map('flow_seed').get(u32Bytes(0)) as Buffer;
    const first = await fresh.open();
    const seed = seedOf(first);
    expect(new Set(seed).size).toBeGreaterThan(seed.length / 2);
    first.close();
    expect(seedOf(await fresh.open())).toEqual(seed);
  });

  test('tables of flows of another size are left behind with all other maps, and connections are placed anew', async () => {
    const ifindex = fresh.node.addVeth();
    const first = await fresh.open();
    await first.apply(isolatedAt(ifindex, [80]), undefined);
    const seed = first.object.map('flow_seed').get(u32Bytes(0));
    first.close();
    const second = await fresh.open({ mapSizes: { flowsPerEndpoint: 128 } });
    await second.apply(isolatedAt(ifindex, [80]), undefined);
    using table = tableOf(second, ifindex);
    expect(2 ** (second.object.rodata('flow_set_bits').bytes[0] as number)).toBe(table.info.maxEntries);
    expect(second.object.map('flow_seed').get(u32Bytes(0))).not.toEqual(seed);
  });

  test('where conntrack keeps UDP for longer, it is asked for that long: by other programs on the same maps', async () => {
    const ifindex = fresh.node.addVeth();
    const secondsOf = ({ object }: OpenedBpfDataplane) =>
      (object.rodata('idle_udp_lost').bytes as Buffer).readUInt32LE() * (features.tickNanoseconds() / 1e9);
    const namespace = `slv-udp-${process.pid}`;
    await run('ip', ['netns', 'add', namespace]);
    onTestFinished(async () => void (await run('ip', ['netns', 'delete', namespace])));
    const openThere = async (seconds: number): Promise<OpenedBpfDataplane> => {
      const { opened } = netns.run(namespace, () => {
        writeFileSync('/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream', `${seconds}`);
        return { opened: fresh.open() };
      });
      return opened;
    };
    const state = isolatedAt(ifindex, [80]);
    const first = await openThere(120);
    expect(secondsOf(first)).toBe(180);
    const { generation } = await first.apply(state, undefined);
    await first.settled();
    const before = programsOn(ifindex).map(({ programId }) => programId);
    first.close();
    const second = await openThere(600);
    expect(secondsOf(second)).toBe(600);
    expect(await second.apply(state, undefined)).toMatchObject({ generation, writes: 0 });
    expect(programsOn(ifindex).filter(({ programId }) => !before.includes(programId))).toHaveLength(2);
    expect(programsOn(ifindex)).toHaveLength(2);
  });

  test('enforcement stays when the agent goes', async () => {
    const ifindex = fresh.node.addVeth();
    const dataplane = await fresh.open();
    await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
    dataplane.close();
    expect(programsOn(ifindex)).toHaveLength(2);
  });

  test('maps of another shape are left behind for new ones', async () => {
    const ifindex = fresh.node.addVeth();
    const first = await fresh.open();
    await first.apply(isolatedAt(ifindex, [80]), undefined);
    first.close();
    const second = await fresh.open({ mapSizes: { ipcache4: 1000, flowsPerEndpoint: 128 } });
    await second.apply(isolatedAt(ifindex, [80]), undefined);
    await second.settled();
    expect(readdirSync(fresh.node.directory).filter((name) => name.startsWith('maps-'))).toHaveLength(1);
    expect(second.object.map('ipcache4_left').info.maxEntries).toBe(1000);
    using table = tableOf(second, ifindex);
    expect(table.info.maxEntries).toBe(64);
  });

  test('maps of another shape give an interface the slot that it had, since programs of both mark packets for a while', async () => {
    const [one, two] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const first = isolatedAt(one, [80]);
    const addresses = ['10.0.0.2' as Address];
    const link = { ifindex: two, name: 'veth', addresses };
    const endpoints = new Map<ObjectKey, Endpoint>([...first.compiled.endpoints, [OTHER, { pod: OTHER, addresses }]]);
    const binding: Binding = { kind: 'endpoint', link, pod: OTHER, linkLocal: [] };
    const bindings = new Map([[two, binding], ...first.bindings]);
    const both = { ...first, compiled: { ...first.compiled, endpoints }, bindings };
    const before = await fresh.open();
    await before.apply(first, undefined);
    await before.apply(both, undefined);
    const slots = slotsOf(before, [one, two]);
    expect(new Set([...slots, 0]).size).toBe(3);
    before.close();
    const after = await fresh.open({ mapSizes: { ipcache4: 1000 } });
    await after.apply(both, undefined);
    expect(slotsOf(after, [one, two])).toEqual(slots);
  });

  test('what marks packets is taken over before what reads the marks, and one that fails keeps no other from it', async () => {
    const [pod, exit] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const before = await fresh.open();
    const exits = new Map([[exit, { ifindex: exit, name: 'exit' }]]);
    await before.apply({ ...isolatedAt(pod, [80]), exits }, undefined);
    before.close();
    const after = await fresh.open();
    const asked: string[] = [];
    const attachments = new TcAttachments({
      directory: `${fresh.node.directory}/links`,
      program: (name) => {
        asked.push(name);
        if (name === 'to_pod' && asked.length < 4) throw new Error('no');
        return after.object.program(name);
      },
    });
    const links = [{ ifindex: exit, role: 'exit' } as const, { ifindex: pod, role: 'pod' } as const];
    for (const { ifindex, role } of links) attachments.ensure(ifindex, role);
    expect(attachments.renew(links)).toMatchObject([{ ifindex: pod, role: 'pod', error: { message: 'no' } }]);
    expect(asked).toEqual(['from_pod', 'to_pod', 'to_node']);
    expect(attachments.older()).toBe(true);
    expect(attachments.renew(links)).toEqual([]);
    expect(asked).toEqual(['from_pod', 'to_pod', 'to_node', 'to_pod']);
    expect(attachments.older()).toBe(false);
  });
});

const OTHER = 'ns/other' as ObjectKey;

function slotsOf(dataplane: OpenedBpfDataplane, interfaces: readonly number[]): (number | undefined)[] {
  const map = dataplane.object.map(`slots_${SIDES[Number(dataplane.generation & 1n)]}`);
  return interfaces.map((ifindex) => map.get(u32Bytes(ifindex))?.readUInt32LE());
}

function tableOf(dataplane: OpenedBpfDataplane, ifindex: number): BpfMap {
  const [slot] = slotsOf(dataplane, [ifindex]) as [number];
  return dataplane.object.map('flows4').getInner(u32Bytes(slot)) as BpfMap;
}
