/** A slot is one endpoint's until no copy, no run and no table of flows knows it any more, whatever becomes of its interface. */
import { describe, expect, test } from 'vitest';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import { u32Bytes, u32Of } from '../../../src/dataplane/bpf/tables.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { FakeKernel } from './support/fake-kernel.ts';
import { worldState } from './support/world-state.ts';

describe('an interface that was bound before a restart, let go of and bound again', () => {
  test('gets no slot that was given away meanwhile', async () => {
    const { kernel, restarted } = await restart({ endpoints: 4 });
    for (const interfaces of [[], [40, 41, 42], [40, 42], [30, 40, 42]]) {
      await restarted.apply(stateWith(interfaces), undefined);
      await restarted.settled();
      expectOneEach(kernel, interfaces);
    }
  });

  test('keeps the one that it gets while its old table is still being deleted', async () => {
    const { kernel, restarted } = await restart({ endpoints: 4 });
    let deleted: () => void = () => {};
    const remove = kernel.flows.delete;
    kernel.flows.delete = async (tables) => {
      await new Promise<void>((resolve) => {
        deleted = resolve;
      });
      await remove(tables);
    };
    await restarted.apply(stateWith([]), undefined);
    await restarted.ready();
    await restarted.apply(stateWith([30]), undefined);
    await restarted.ready();
    kernel.flows.delete = remove;
    deleted();
    await restarted.settled();
    await restarted.apply(stateWith([30, 40, 41]), undefined);
    expectOneEach(kernel, [30, 40, 41]);
  });

  test('is not refused because of slots that a state got for which there was no room', async () => {
    const { kernel, restarted } = await restart({ endpoints: 8 });
    const many = [30, 40, 41, 42, 43, 44, 45, 46, 47, 48];
    await expect(restarted.apply(stateWith(many), undefined)).rejects.toThrow(/endpoints: .* room for 8/);
    for (const interfaces of [[30, 40, 41, 42, 43, 44, 45], [40], [30, 50, 51, 52, 53, 54]]) {
      await restarted.apply(stateWith(interfaces), undefined);
      await restarted.settled();
      expectOneEach(kernel, interfaces);
    }
  });

  test('has its table although the first attempt to make it failed', async () => {
    const { kernel } = await restart({ endpoints: 4 });
    kernel.flowTables[4].clear();
    const next = new BpfDataplane(kernel);
    kernel.failAfter = 0;
    await expect(next.apply(stateWith([30]), undefined)).rejects.toThrow('flows4');
    await next.apply(stateWith([30]), undefined);
    await next.settled();
    expectOneEach(kernel, [30]);
  });
});

/** An agent that comes after one that had interface 30. */
async function restart(capacities: { endpoints: number }): Promise<{ kernel: FakeKernel; restarted: BpfDataplane }> {
  const kernel = new FakeKernel({ capacities });
  const first = new BpfDataplane(kernel);
  await first.apply(stateWith([30]), undefined);
  await first.settled();
  const restarted = new BpfDataplane(kernel);
  await restarted.apply(stateWith([30]), undefined);
  await restarted.settled();
  return { kernel, restarted };
}

/** Interface 30 is the server's. */
function stateWith(interfaces: readonly number[]): DesiredState {
  const local = interfaces
    .filter((ifindex) => ifindex !== 30)
    .map((ifindex) => ({ ifindex, pod: `ns/${ifindex}`, addresses: [`10.0.1.${ifindex}`] }));
  const state = worldState({ pods: [], rules: [{ peers: 'anyone', ports: [80] }], local });
  const bindings = new Map([...state.bindings].filter(([ifindex]) => interfaces.includes(ifindex)));
  return { ...state, bindings };
}

/** Each of these interfaces has a slot of its own, with a record and a table. */
function expectOneEach(kernel: FakeKernel, interfaces: readonly number[]): void {
  const { endpoint, slot } = kernel.abi.codecs;
  const slots = new Map<number, number>();
  for (const [key, bytes] of kernel.map('slots', kernel.inForce).elements) {
    const number = Number(slot.decode(bytes).slot);
    if (number !== 0) slots.set(u32Of(Buffer.from(key, 'hex')), number);
  }
  expect([...slots.keys()].sort()).toEqual(interfaces);
  for (const [ifindex, number] of slots) {
    const record = kernel.map('endpoints', kernel.inForce).get(u32Bytes(number));
    expect(endpoint.decode(record as Uint8Array).ifindex).toBe(ifindex);
    expect(kernel.flowTables[4].has(number)).toBe(true);
  }
  expect(kernel.violations).toEqual([]);
}
