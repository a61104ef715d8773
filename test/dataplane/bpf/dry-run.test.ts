/** What would be written, beside what an agent has in force: a pod that comes, and another layout. */
import { expect, test } from 'vitest';
import { DryRun } from '../../../src/dataplane/bpf/dry-run.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { Endpoint } from '../../../src/model/compiled.ts';
import type { Binding } from '../../../src/model/links.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { isolatedAt, NodePerTest } from './support/on-kernel.ts';

describeAsRoot('a dry run', () => {
  const fresh = new NodePerTest();

  test.each([
    ['of the same layout', {}],
    ['of another layout', { mapSizes: { ipcache4: 1000 } }],
  ])('%s says what a pod that comes would take', async (_, layout) => {
    const [one, two] = [fresh.node.addVeth(), fresh.node.addVeth()];
    const agent = await fresh.open();
    const { generation } = await agent.apply(isolatedAt(one, [80]), undefined);
    await agent.settled();
    const dry = new DryRun(fresh.node.options(layout));
    await dry.apply(withAnother(isolatedAt(one, [80]), two));
    const { maps, programs, interfaces, generation: seen } = await dry.report;
    dry.close();
    const sameLayout = Object.keys(layout).length === 0;
    expect(seen).toBe(sameLayout ? Number(generation) : 0);
    expect(maps.find(({ name }) => name === 'endpoints')).toMatchObject({ sets: sameLayout ? 1 : 2, deletions: 0 });
    expect(interfaces.map(({ ifindex }) => ifindex)).toEqual(sameLayout ? [two] : [one, two]);
    expect(programs).toMatchObject([
      { step: 'attach', links: [{ ifindex: two }] },
      { step: 'swap', links: [{ ifindex: one }] },
    ]);
  });
});

function withAnother(state: DesiredState, ifindex: number): DesiredState {
  const pod = 'ns/other' as ObjectKey;
  const addresses = ['10.0.0.2' as Address];
  const endpoints = new Map<ObjectKey, Endpoint>([...state.compiled.endpoints, [pod, { pod, addresses }]]);
  const binding: Binding = { kind: 'endpoint', link: { ifindex, name: 'other', addresses }, pod, linkLocal: [] };
  return {
    ...state,
    compiled: { ...state.compiled, endpoints },
    bindings: new Map([[ifindex, binding], ...state.bindings]),
  };
}
