import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { shrinkHeap } from '../src/shrink-heap.ts';

it('collects what nobody holds any more, and leaves no way to do so behind', async () => {
  const garbage = new WeakRef({ name: 'garbage' });
  // What was made in this turn lives as long as it.
  await setImmediate();
  shrinkHeap();
  expect(garbage.deref()).toBeUndefined();
  expect(globalThis.gc).toBeUndefined();
});
