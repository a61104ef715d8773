import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import type { ClusterEvent } from '../../src/model/cluster.ts';
import { event } from './arbitrary-events.ts';
import { pod, put } from './build.ts';
import { dump } from './dump.ts';

test('what does not matter may wait for what does, and nothing that is enforced is late', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const eager = new Compiler({ node: 'here' });
      const lazy = new Compiler({ node: 'here' });
      let waiting: ClusterEvent[] = [];
      for (const event of events) {
        eager.apply([event]);
        waiting.push(event);
        if (lazy.matters(event)) {
          lazy.apply(waiting);
          waiting = [];
        }
        expect(dump(lazy)).toEqual(dump(eager));
      }
    }),
    { numRuns: 1500 },
  );
});

test('pods elsewhere matter from their addresses on, pods here at once', () => {
  const compiler = new Compiler({ node: 'here' });
  const elsewhere = (address: string) => ({ ...pod('shop/web', address), node: 'there' });
  const [bare] = put(elsewhere('')) as [ClusterEvent];
  const [addressed] = put(elsewhere('10.0.0.1')) as [ClusterEvent];
  const [here] = put({ ...pod('shop/web', ''), node: 'here' }) as [ClusterEvent];
  expect([bare, addressed, here].map((event) => compiler.matters(event))).toEqual([false, true, true]);
  compiler.apply([addressed]);
  expect(compiler.matters(bare)).toBe(true);
});
