/** The data plane in memory keeps what it was given, and judges by it. */
import { expect, test } from 'vitest';
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import { podsInSets, worldState } from '../bpf/support/world-state.ts';

const question = {
  source: '10.1.0.2' as Address,
  destination: '10.0.0.1' as Address,
  destinationPod: 'ns/server' as ObjectKey,
  protocol: 'TCP' as const,
};

test('a state is in force as it was when it was applied, whatever becomes of it', async () => {
  const dataplane = new MemoryDataplane();
  expect(dataplane.judge({ ...question, port: 22 }).allowed).toBe(true);
  const state = worldState(podsInSets);
  const { generation } = await dataplane.apply(state);
  (state.compiled.memberships as Map<unknown, unknown>).clear();
  expect(dataplane.judge({ ...question, port: 443 }).allowed).toBe(true);
  expect(dataplane.judge({ ...question, port: 80 })).toMatchObject({
    ingress: { allowed: false, isolatedBy: ['ns/policy'] },
  });
  expect((await dataplane.apply(state)).generation).toBeGreaterThan(generation);
  expect(dataplane.judge({ ...question, port: 443 }).allowed).toBe(false);
});
