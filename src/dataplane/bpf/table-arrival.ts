/** When a table that a thread puts into a map of maps is there. */
import { setImmediate } from 'node:timers/promises';
import type { BpfMap } from '../../native.ts';
import { nap } from '../nap.ts';
import { u32Bytes, u32Of } from './tables.ts';

export interface Putting {
  readonly outer: BpfMap;
  readonly slot: number;
  readonly table: BpfMap;
  readonly batch: Promise<void>;
}

/**
 * A thread has it done within half a millisecond, mostly. Meanwhile this one sleeps: on a busy machine it would hold the
 * core that the other waits for, and V8 collects its garbage in just the turns of the loop that are waited.
 */
const NAPS = { milliseconds: 0.05, most: 20 } as const;

/**
 * Resolves when programs find the table, which is before the batch that puts it in is over: that waits for a grace period.
 * A batch goes in order, so with its last table all are in. @returns false: the batch is over, and it is not there
 * @throws what the batch rejects with
 */
export async function whenIn({ outer, slot, table, batch }: Putting): Promise<boolean> {
  let over = false;
  const end = () => {
    over = true;
  };
  batch.then(end, end);
  const isIn = () => u32Of(outer.get(u32Bytes(slot)) ?? u32Bytes(0)) === table.info.id;
  for (let naps = 0; naps < NAPS.most; naps++) {
    if (isIn()) return true;
    nap(NAPS.milliseconds);
  }
  while (!over) {
    if (isIn()) return true;
    await setImmediate();
  }
  await batch;
  return isIn();
}
