/**
 * From events to bytes: whatever the order in which a cluster's events come, however they are split, squashed and repeated,
 * the kernel's maps end alike, byte for byte up to the numbering, in both copies.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import { BpfDataplane } from '../../src/dataplane/bpf/bpf-dataplane.ts';
import type { ClusterEvent } from '../../src/model/cluster.ts';
import type { Binding } from '../../src/model/links.ts';
import { finalObjects, steps } from '../compile/arbitrary-events.ts';
import { canonicalContent } from '../dataplane/bpf/support/canonical.ts';
import { FakeKernel } from '../dataplane/bpf/support/fake-kernel.ts';

/** The maps after each list of events was one update, with the compiler's word on what has changed. */
async function mapsAfter(updates: readonly (readonly ClusterEvent[])[]): Promise<string[]> {
  const kernel = new FakeKernel();
  const dataplane = new BpfDataplane(kernel);
  const compiler = new Compiler({ node: 'here' });
  let known = false;
  for (const events of [[], ...updates]) {
    compiler.apply(events);
    const hint = compiler.takeChanges();
    const compiled = compiler.state;
    // Each pod has its interface, the same on every path.
    const names = ['red', 'blue', 'green'].flatMap((space) => ['p', 'q', 'r'].map((name) => `${space}/${name}`));
    const bindings = new Map<number, Binding>();
    for (const [pod, { addresses }] of compiled.endpoints) {
      const ifindex = 10 + names.indexOf(pod);
      bindings.set(ifindex, { kind: 'endpoint', link: { ifindex, name: pod, addresses }, pod, linkLocal: [] });
    }
    const rest = { exits: new Map(), ownAddresses: new Set<never>(), pending: 'closed' } as const;
    await dataplane.apply({ compiled, bindings, ...rest }, known ? hint : undefined);
    known = true;
  }
  await dataplane.settled();
  expect(kernel.violations).toEqual([]);
  const copies = ([0, 1] as const).map((copy) => canonicalContent(kernel, copy));
  expect(copies[1]).toEqual(copies[0]);
  return copies[0] as string[];
}

it('every path to the same objects ends in the same maps', async () => {
  const paths = steps.chain((steps) => {
    const objects = finalObjects(steps.flat()).map((object): ClusterEvent => ({ type: 'upsert', object }));
    return fc.record({
      steps: fc.constant(steps),
      objects: fc.constant(objects),
      order: fc.shuffledSubarray(objects, { minLength: objects.length }),
    });
  });
  await fc.assert(
    fc.asyncProperty(paths, async ({ steps, objects, order }) => {
      const wanted = await mapsAfter([objects]);
      expect(await mapsAfter(steps)).toEqual(wanted);
      expect(await mapsAfter([steps.flat()])).toEqual(wanted);
      expect(await mapsAfter(order.map((event) => [event]))).toEqual(wanted);
      expect(await mapsAfter([...order.map((event) => [event, event]), objects])).toEqual(wanted);
      const half = order.length >> 1;
      expect(await mapsAfter([order.slice(half), order.slice(0, half), order])).toEqual(wanted);
    }),
    { numRuns: 150 },
  );
});
