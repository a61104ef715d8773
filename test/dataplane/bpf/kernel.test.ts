/** The data plane on the real kernel: pinned maps and links, restarts, one agent per directory, a clean end. */
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VerdictEvent } from '../../../src/dataplane/bpf/events.ts';
import { SIDES } from '../../../src/dataplane/bpf/object.ts';
import { cleanupBpfDataplane, type OpenedBpfDataplane, openBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { TcAttachments } from '../../../src/dataplane/bpf/tc-attachments.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { type Address, familyOf } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { Endpoint } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { verdictOf } from '../../../src/model/verdict.ts';
import { type BpfMap, listTc, tryLock } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { KernelNode, openingPacket } from './support/kernel-node.ts';
import { changesBetween, desiredState, OTHER_ADDRESSES, POD_ADDRESSES } from './support/random-states.ts';
import { worldState } from './support/world-state.ts';

const DROP = 2;
const CONTINUE = -1;

describeAsRoot('the BPF data plane on this kernel', () => {
  let node: KernelNode;
  let opened: OpenedBpfDataplane | undefined;

  beforeEach(({ task }) => {
    node = new KernelNode(task.id.replaceAll(/\W/g, ''));
    opened = undefined;
  });

  afterEach(async () => {
    opened?.close();
    await node.cleanup();
    expect(existsSync(node.directory)).toBe(false);
  });

  async function open(more = {}): Promise<OpenedBpfDataplane> {
    opened = await openBpfDataplane(node.options(more));
    return opened;
  }

  test("gives the compiled state's verdicts, state after state", async () => {
    const dataplane = await open();
    const veths = [node.addVeth(), node.addVeth(), node.addVeth()];
    const states = fc.sample(desiredState, { numRuns: 25, seed: 7 }).map((state) => onInterfaces(state, veths));
    let before: DesiredState | undefined;
    for (const state of states) {
      await dataplane.apply(state, before === undefined ? undefined : changesBetween(before, state));
      expect(kernelVerdicts(dataplane, state)).toEqual(compiledVerdicts(state));
      before = state;
    }
  });

  test('a restarted agent takes over what is pinned, writes only differences and renews the programs', async () => {
    const ifindex = node.addVeth();
    const state = isolatedAt(ifindex, [80]);
    const first = await open();
    const { generation } = await first.apply(state, undefined);
    await first.settled();
    const before = programsOn(ifindex);
    first.close();
    const second = await open();
    expect(await second.apply(state, undefined)).toMatchObject({ generation, writes: 0 });
    expect(programsOn(ifindex).map(({ programId }) => programId)).not.toEqual(before.map(({ programId }) => programId));
    expect(programsOn(ifindex)).toHaveLength(2);
    expect(await second.apply(isolatedAt(ifindex, [81]), undefined)).toMatchObject({
      generation: generation + 1n,
      writes: 3,
    });
  });

  test('an endpoint keeps its table of flows over a restart, and another pod gets a fresh one', async () => {
    const ifindex = node.addVeth();
    const tables = (dataplane: OpenedBpfDataplane) =>
      dataplane.object
        .map('flows4')
        .entries()
        .map(([, id]) => id.readUInt32LE());
    const first = await open();
    await first.apply(isolatedAt(ifindex, [80]), undefined);
    const before = tables(first);
    expect(before).toHaveLength(1);
    first.close();
    const second = await open();
    await second.apply(isolatedAt(ifindex, [80]), undefined);
    await second.settled();
    expect(tables(second)).toEqual(before);
    await second.apply(isolatedAt(ifindex, [80], '10.0.0.77'), undefined);
    await second.settled();
    expect(tables(second)).toHaveLength(1);
    expect(tables(second)).not.toEqual(before);
  });

  test('a second agent on the same directory is refused, and one after the first is not', async () => {
    const first = await open();
    await expect(openBpfDataplane(node.options())).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    await expect(cleanupBpfDataplane(node.directory)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    first.close();
    await open();
  });

  test('nobody else can take the directory, or keep the agent from it', async () => {
    mkdirSync(node.directory, { mode: 0o777 });
    chmodSync(node.directory, 0o777);
    chownSync(node.directory, 1000, 1000);
    await expect(openBpfDataplane(node.options())).rejects.toMatchObject({ code: 'DIRECTORY_NOT_PRIVATE' });
    chownSync(node.directory, process.getuid?.() as number, 0);
    const server = createServer().listen({ path: `\0selvedge${node.directory}` });
    await once(server, 'listening');
    const first = await open();
    expect(statSync(node.directory).mode & 0o777).toBe(0o700);
    first.close();
    server.close();
  });

  test('a lock on a directory that was removed since keeps nobody from the next one', async () => {
    const first = await open();
    const fd = openSync(node.directory, 'r');
    first.close();
    await cleanupBpfDataplane(node.directory);
    expect(tryLock(fd)).toBe(true);
    await open();
    closeSync(fd);
  });

  test('enforcement stays when the agent goes', async () => {
    const ifindex = node.addVeth();
    const dataplane = await open();
    await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
    dataplane.close();
    expect(programsOn(ifindex)).toHaveLength(2);
  });

  test.each(['tcx', 'clsact'] as const)(
    'cleanup takes off %s programs, and again finds nothing to do',
    async (attach) => {
      const [pod, exit] = [node.addVeth(), node.addVeth()];
      const dataplane = await open({ attach });
      const state = isolatedAt(pod, [80]);
      await dataplane.apply({ ...state, exits: new Map([[exit, { ifindex: exit, name: 'exit' }]]) }, undefined);
      expect(programsOn(pod)).toHaveLength(2);
      expect(programsOn(exit)).toHaveLength(1);
      dataplane.close();
      await cleanupBpfDataplane(node.directory);
      expect(programsOn(pod)).toEqual([]);
      expect(programsOn(exit)).toEqual([]);
      expect(existsSync(node.directory)).toBe(false);
      await cleanupBpfDataplane(node.directory);
    },
  );

  test('links of interfaces that are gone are collected once both copies have forgotten them', async () => {
    const [gone, stays] = [node.addVeth(), node.addVeth()];
    const dataplane = await open();
    const state = isolatedAt(gone, [80]);
    await dataplane.apply(state, undefined);
    dataplane.guard(stays);
    await dataplane.settled();
    node.removeVeth(gone);
    await dataplane.apply({ ...state, bindings: new Map() }, undefined);
    await dataplane.settled();
    expect(readdirSync(`${node.directory}/links`).sort()).toEqual([`from_pod_${stays}`, `to_pod_${stays}`]);
    dataplane.guard(gone);
  });

  test('an interface that comes back with the index of one that went gets programs of its own', async () => {
    const [pod, exit] = [node.addVeth(), node.addVeth()];
    const dataplane = await open();
    const state = { ...isolatedAt(pod, [80]), exits: new Map([[exit, { ifindex: exit, name: 'exit' }]]) };
    await dataplane.apply(state, undefined);
    for (const ifindex of [pod, exit]) {
      node.removeVeth(ifindex);
      node.addVeth(ifindex);
      dataplane.forget(ifindex);
    }
    await dataplane.apply(state, undefined);
    expect(programsOn(pod)).toHaveLength(2);
    expect(programsOn(exit)).toHaveLength(1);
    for (const [ifindex, role] of [[pod, 'pod'] as const, [exit, 'exit'] as const]) {
      node.removeVeth(ifindex);
      node.addVeth(ifindex);
      dataplane.guard(ifindex, role);
    }
    expect(programsOn(pod)).toHaveLength(2);
    expect(programsOn(exit)).toHaveLength(1);
  });

  test('maps of another shape are left behind for new ones', async () => {
    const ifindex = node.addVeth();
    const first = await open();
    await first.apply(isolatedAt(ifindex, [80]), undefined);
    first.close();
    const second = await open({ mapSizes: { ipcache4: 1000, flowsPerEndpoint: 128 } });
    await second.apply(isolatedAt(ifindex, [80]), undefined);
    await second.settled();
    expect(readdirSync(node.directory).filter((name) => name.startsWith('maps-'))).toHaveLength(1);
    expect(second.object.map('ipcache4_left').info.maxEntries).toBe(1000);
    using table = second.object.map('flows4').getInner(new Uint8Array(Uint32Array.of(1).buffer)) as BpfMap;
    expect(table.info.maxEntries).toBe(128);
  });

  test('maps of another shape give an interface the slot that it had, since programs of both mark packets for a while', async () => {
    const [one, two] = [node.addVeth(), node.addVeth()];
    const first = isolatedAt(one, [80]);
    const addresses = ['10.0.0.2' as Address];
    const link = { ifindex: two, name: 'veth', addresses };
    const endpoints = new Map<ObjectKey, Endpoint>([...first.compiled.endpoints, [OTHER, { pod: OTHER, addresses }]]);
    const binding: Binding = { kind: 'endpoint', link, pod: OTHER, linkLocal: [] };
    const bindings = new Map([[two, binding], ...first.bindings]);
    const both = { ...first, compiled: { ...first.compiled, endpoints }, bindings };
    const before = await open();
    await before.apply(first, undefined);
    await before.apply(both, undefined);
    const slots = slotsOf(before, [one, two]);
    expect(slots).toEqual([1, 2]);
    before.close();
    const after = await open({ mapSizes: { ipcache4: 1000 } });
    await after.apply(both, undefined);
    expect(slotsOf(after, [one, two])).toEqual(slots);
  });

  test('what marks packets is taken over before what reads the marks, and one that fails keeps no other from it', async () => {
    const [pod, exit] = [node.addVeth(), node.addVeth()];
    const before = await open();
    const exits = new Map([[exit, { ifindex: exit, name: 'exit' }]]);
    await before.apply({ ...isolatedAt(pod, [80]), exits }, undefined);
    before.close();
    const after = await open();
    const asked: string[] = [];
    const attachments = new TcAttachments({
      directory: `${node.directory}/links`,
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

  test('too many addresses are an error that names the map', async () => {
    const ifindex = node.addVeth();
    const dataplane = await open({ mapSizes: { ipcache4: 4 } });
    const pods = Array.from({ length: 6 }, (_, i) => ({ address: `10.1.0.${i}`, sets: ['web'] }));
    const state = {
      ...isolatedAt(ifindex, [80]),
      compiled: worldState({ pods, rules: [{ peers: ['web'], ports: [80] }] }).compiled,
    };
    await expect(dataplane.apply(state, undefined)).rejects.toMatchObject({
      code: 'CAPACITY',
      message: /^ipcache4: 7 needed/,
    });
  });

  test('a drop becomes an event and a count with the names of the API', async () => {
    const ifindex = node.addVeth();
    const events: VerdictEvent[] = [];
    let told: () => void = () => {};
    const first = new Promise<void>((resolve) => {
      told = resolve;
    });
    const onEvent = (event: VerdictEvent): void => {
      events.push(event);
      told();
    };
    const dataplane = await open({ onEvent });
    await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
    const source = '10.9.9.9' as Address;
    run(dataplane, ifindex, { source, destination: '10.0.0.1' as Address, port: 22 });
    await first;
    const named = { pod: 'ns/server', direction: 'ingress', reason: 'drop-policy', policies: ['ns/policy'] };
    expect(events[0]).toMatchObject({
      ...named,
      source,
      destination: '10.0.0.1',
      destinationPort: 22,
      verdict: 'deny',
      protocol: 6,
    });
    expect(dataplane.losses()).toEqual({ event: 0n, counter: 0n, flow: 0n, fragment: 0n });
    expect(dataplane.counts()).toContainEqual(expect.objectContaining({ ...named, packets: 1n }));
  });

  test('counts go with their interface, and no others', async () => {
    const [gone, stays] = [node.addVeth(), node.addVeth()];
    const dataplane = await open();
    const counted = () => [...new Set(dataplane.counts().map(({ ifindex }) => ifindex))];
    for (const ifindex of [gone, stays]) {
      await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
      run(dataplane, ifindex, { source: '10.9.9.9' as Address, destination: '10.0.0.1' as Address, port: 22 });
      dataplane.guard(gone);
    }
    await dataplane.settled();
    expect(counted().sort()).toEqual([gone, stays].sort());
    node.removeVeth(gone);
    await dataplane.apply({ ...isolatedAt(stays, [81]), ownAddresses: new Set() }, undefined);
    await dataplane.settled();
    expect(counted()).toEqual([stays]);
  });
});

const OTHER = 'ns/other' as ObjectKey;

function slotsOf(dataplane: OpenedBpfDataplane, interfaces: readonly number[]): unknown[] {
  const map = dataplane.object.map(`slots_${SIDES[Number(dataplane.generation & 1n)]}`);
  return interfaces.map((ifindex) => map.get(u32Bytes(ifindex))?.readUInt32LE());
}

/** The random state's endpoints, on interfaces that exist; nothing is the node's own, which needs a device of its own to tell. */
function onInterfaces(state: DesiredState, veths: readonly number[]): DesiredState {
  const bindings = [...state.compiled.endpoints.keys()].flatMap((pod, i): [number, Binding][] => {
    const ifindex = veths[i];
    if (ifindex === undefined) return [];
    return [[ifindex, { kind: 'endpoint', link: { ifindex, name: `veth${i}`, addresses: [] }, pod, linkLocal: [] }]];
  });
  return { ...state, bindings: new Map(bindings), ownAddresses: new Set() };
}

function isolatedAt(ifindex: number, ports: readonly number[], address = '10.0.0.1'): DesiredState {
  const state = worldState({ pods: [], rules: [{ peers: 'anyone', ports }] });
  const pod = 'ns/server' as ObjectKey;
  const addresses = [address as Address];
  const endpoints = new Map([...state.compiled.endpoints].map(([key, endpoint]) => [key, { ...endpoint, addresses }]));
  const link = { ifindex, name: 'veth', addresses };
  return {
    ...state,
    compiled: { ...state.compiled, endpoints },
    bindings: new Map([[ifindex, { kind: 'endpoint', link, pod, linkLocal: [] }]]),
  };
}

interface Question {
  readonly source: Address;
  readonly destination: Address;
  readonly port: number;
}

function* questions(state: DesiredState): Generator<Question & { ifindex: number; pod: ObjectKey }> {
  for (const [ifindex, binding] of state.bindings) {
    if (binding.kind !== 'endpoint') continue;
    for (const destination of state.compiled.endpoints.get(binding.pod)?.addresses ?? []) {
      for (const source of [...POD_ADDRESSES, ...OTHER_ADDRESSES]) {
        if (familyOf(source) !== familyOf(destination) || source === destination) continue;
        for (const port of [79, 80, 443]) yield { ifindex, pod: binding.pod, source, destination, port };
      }
    }
  }
}

function kernelVerdicts(dataplane: OpenedBpfDataplane, state: DesiredState): boolean[] {
  return [...questions(state)].map(({ ifindex, ...packet }) => run(dataplane, ifindex, packet) === CONTINUE);
}

/** Packets come without a mark, from elsewhere: only the receiver's ingress judges. */
function compiledVerdicts(state: DesiredState): boolean[] {
  return [...questions(state)].map(({ pod, ifindex: _, ...packet }) => {
    const question = { ...packet, protocol: 'TCP' as const, sourcePod: 'nobody' as ObjectKey, destinationPod: pod };
    return verdictOf(state.compiled, question).allowed;
  });
}

/** One opening packet to the pod behind an interface. */
function run(dataplane: OpenedBpfDataplane, ifindex: number, packet: Question): number {
  const context = { ifindex, ingressIfindex: ifindex + 1 };
  const { returnValue } = dataplane.object.program('to_pod').testRun({ packet: openingPacket(packet), context });
  expect([DROP, CONTINUE]).toContain(returnValue);
  return returnValue;
}

function programsOn(ifindex: number): ReturnType<typeof listTc> {
  return [...listTc(ifindex, 'ingress'), ...listTc(ifindex, 'egress')];
}
