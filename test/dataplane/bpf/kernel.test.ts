/** The data plane on the real kernel: verdicts, what it attaches and takes off again, what it counts, a clean end. */
import { existsSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadObject } from '../../../src/dataplane/bpf/object.ts';
import { cleanupBpfDataplane, type OpenedBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { type Address, familyOf } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { Binding } from '../../../src/model/links.ts';
import { verdictOf } from '../../../src/model/verdict.ts';
import type { VerdictEvent } from '../../../src/model/verdict-event.ts';
import { BpfError } from '../../../src/native.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { openingPacket } from './support/kernel-node.ts';
import { isolatedAt, NodePerTest, programsOn } from './support/on-kernel.ts';
import { changesBetween, desiredState, OTHER_ADDRESSES, POD_ADDRESSES } from './support/random-states.ts';
import { worldState } from './support/world-state.ts';

const DROP = 2;
const CONTINUE = -1;

describeAsRoot('the BPF data plane on this kernel', () => {
  const fresh = new NodePerTest();

  test("gives the compiled state's verdicts, state after state", async () => {
    const dataplane = await fresh.open();
    const veths = [fresh.node.addVeth(), fresh.node.addVeth(), fresh.node.addVeth()];
    const states = fc.sample(desiredState, { numRuns: 25, seed: 7 }).map((state) => onInterfaces(state, veths));
    let before: DesiredState | undefined;
    for (const state of states) {
      await dataplane.apply(state, before === undefined ? undefined : changesBetween(before, state));
      expect(kernelVerdicts(dataplane, state)).toEqual(compiledVerdicts(state));
      before = state;
    }
  });

  test('conntrack is asked here, and who loads the programs is told when they had to be loaded without', async () => {
    const dataplane = await fresh.open();
    expect(dataplane.noConntrack).toBeUndefined();
    expect(dataplane.object.rodata('conntrack').bytes[0]).toBe(1);
    dataplane.close();
    const refusal = Object.assign(Object.create(BpfError.prototype) as BpfError, { code: 'ENOMEM' });
    let attempts = 0;
    const refuseOnce = () => {
      if (attempts++ === 0) throw refusal;
    };
    const { object, noConntrack } = loadObject(fresh.node.options(), refuseOnce);
    expect(noConntrack).toBe(refusal);
    expect(object.rodata('conntrack').bytes[0]).toBe(0);
    object.close();
  });

  test.each(['tcx', 'clsact'] as const)(
    'cleanup takes off %s programs, and again finds nothing to do',
    async (attach) => {
      const [pod, exit] = [fresh.node.addVeth(), fresh.node.addVeth()];
      const dataplane = await fresh.open({ attach });
      const state = isolatedAt(pod, [80]);
      await dataplane.apply({ ...state, exits: new Map([[exit, { ifindex: exit, name: 'exit' }]]) }, undefined);
      expect(programsOn(pod)).toHaveLength(2);
      expect(programsOn(exit)).toHaveLength(1);
      dataplane.close();
      await cleanupBpfDataplane(fresh.node.directory);
      expect(programsOn(pod)).toEqual([]);
      expect(programsOn(exit)).toEqual([]);
      expect(existsSync(fresh.node.directory)).toBe(false);
      await cleanupBpfDataplane(fresh.node.directory);
    },
  );

  test('links of interfaces that are gone are collected once both copies have forgotten them', async () => {
    const [gone, stays] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const dataplane = await fresh.open();
    const state = isolatedAt(gone, [80]);
    await dataplane.apply(state, undefined);
    dataplane.guard(stays);
    await dataplane.settled();
    fresh.node.removeVeth(gone);
    await dataplane.apply({ ...state, bindings: new Map() }, undefined);
    await dataplane.settled();
    expect(readdirSync(`${fresh.node.directory}/links`).sort()).toEqual([`from_pod_${stays}`, `to_pod_${stays}`]);
    dataplane.guard(gone);
  });

  test('an interface that comes back with the index of one that went gets programs of its own', async () => {
    const [pod, exit] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const dataplane = await fresh.open();
    const state = { ...isolatedAt(pod, [80]), exits: new Map([[exit, { ifindex: exit, name: 'exit' }]]) };
    await dataplane.apply(state, undefined);
    for (const ifindex of [pod, exit]) {
      fresh.node.removeVeth(ifindex);
      fresh.node.addVeth(ifindex);
      dataplane.forget(ifindex);
    }
    await dataplane.apply(state, undefined);
    expect(programsOn(pod)).toHaveLength(2);
    expect(programsOn(exit)).toHaveLength(1);
    for (const [ifindex, role] of [[pod, 'pod'] as const, [exit, 'exit'] as const]) {
      fresh.node.removeVeth(ifindex);
      fresh.node.addVeth(ifindex);
      await dataplane.guard(ifindex, role);
    }
    expect(programsOn(pod)).toHaveLength(2);
    expect(programsOn(exit)).toHaveLength(1);
  });

  test.each(['tcx', 'clsact'] as const)(
    'one that goes and comes back while %s programs are on their way to it ends with programs of its own',
    async (attach) => {
      const pods = Array.from({ length: 4 }, () => fresh.node.addVeth());
      const dataplane = await fresh.open({ attach });
      const guards: unknown[] = pods.map((ifindex) => dataplane.guard(ifindex));
      for (const ifindex of pods) {
        fresh.node.removeVeth(ifindex);
        fresh.node.addVeth(ifindex);
        dataplane.forget(ifindex);
        guards.push(dataplane.guard(ifindex));
      }
      await Promise.all(guards);
      for (const ifindex of pods) expect(programsOn(ifindex)).toHaveLength(2);
      // They are ours to take over: nothing is there twice, and nothing is left to do.
      await dataplane.apply(isolatedAt(pods[0] as number, [80]), undefined);
      for (const ifindex of pods) expect(programsOn(ifindex)).toHaveLength(2);
    },
  );

  test('an interface that goes while programs are on their way to it is no error, and leaves nothing', async () => {
    const pod = fresh.node.addVeth();
    const dataplane = await fresh.open();
    const guard = dataplane.guard(pod);
    fresh.node.removeVeth(pod);
    dataplane.forget(pod);
    await guard;
    await dataplane.apply({ ...isolatedAt(pod, [80]), bindings: new Map() }, undefined);
    await dataplane.settled();
    expect(readdirSync(`${fresh.node.directory}/links`)).toEqual([]);
  });

  test('what programs have not been given when it is closed is left to the next', async () => {
    const pods = Array.from({ length: 4 }, () => fresh.node.addVeth());
    const dataplane = await fresh.open();
    const guards = pods.map((ifindex) => dataplane.guard(ifindex));
    dataplane.close();
    await Promise.all(guards);
    const next = await fresh.open();
    await Promise.all(pods.map((ifindex) => next.guard(ifindex)));
    for (const ifindex of pods) expect(programsOn(ifindex)).toHaveLength(2);
  });

  test('too many addresses are an error that names the map', async () => {
    const ifindex = fresh.node.addVeth();
    const dataplane = await fresh.open({ mapSizes: { ipcache4: 4 } });
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
    const ifindex = fresh.node.addVeth();
    const events: VerdictEvent[] = [];
    let told: () => void = () => {};
    const first = new Promise<void>((resolve) => {
      told = resolve;
    });
    const onEvent = (event: VerdictEvent): void => {
      events.push(event);
      told();
    };
    const dataplane = await fresh.open({ onEvent });
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
    expect(dataplane.losses()).toEqual({ event: 0n, limited: 0n, counter: 0n, flow: 0n, fragment: 0n });
    expect(dataplane.counts()).toContainEqual(expect.objectContaining({ ...named, packets: 1n }));
  });

  test('counts of rules that are no more go too, once there are some', async () => {
    const ifindex = fresh.node.addVeth();
    const dataplane = await fresh.open();
    const counted = () => dataplane.counts().filter(({ reason }) => reason === 'allow-rule');
    for (let i = 0; i < 40; i++) {
      const source = `10.9.9.${i}` as Address;
      await dataplane.apply(underPolicy(isolatedAt(ifindex, [80]), `ns/policy-${i}` as ObjectKey), undefined);
      run(dataplane, ifindex, { source, destination: '10.0.0.1' as Address, port: 80 });
      const policies = counted().map(({ rule }) => rule?.policy);
      expect(policies).toContain(`ns/policy-${i}`);
      // Sixteen are waited for, and the tallies of every processor may still hold some that have gone.
      expect(policies.length).toBeLessThan(36);
      await dataplane.settled();
    }
  });

  test('counts go with their interface, and no others', async () => {
    const [gone, stays] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const dataplane = await fresh.open();
    const counted = () => [...new Set(dataplane.counts().map(({ ifindex }) => ifindex))];
    for (const ifindex of [gone, stays]) {
      await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
      run(dataplane, ifindex, { source: '10.9.9.9' as Address, destination: '10.0.0.1' as Address, port: 22 });
      dataplane.guard(gone);
    }
    await dataplane.settled();
    expect(counted().sort()).toEqual([gone, stays].sort());
    fresh.node.removeVeth(gone);
    await dataplane.apply({ ...isolatedAt(stays, [81]), ownAddresses: new Set() }, undefined);
    await dataplane.settled();
    expect(counted()).toEqual([stays]);
  });
});

/** The state with its rules in another policy. */
function underPolicy(state: DesiredState, policy: ObjectKey): DesiredState {
  const rulesets = [...state.compiled.rulesets].map(([id, ruleset]) => {
    const rules = ruleset.rules.map((rule) => ({ ...rule, ref: { ...rule.ref, policy } }));
    return [id, { ...ruleset, policies: [policy], rules }] as const;
  });
  return { ...state, compiled: { ...state.compiled, rulesets: new Map(rulesets) } };
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
