import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Reconciler } from '../src/reconciler.ts';

/** A step whose end each test decides. */
function steps() {
  const running: { end: () => void; fail: (error: Error) => void }[] = [];
  let count = 0;
  const step = () => {
    count++;
    return new Promise<void>((resolve, reject) => running.push({ end: resolve, fail: reject }));
  };
  return { step, running, count: () => count };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const turn = () => vi.advanceTimersByTimeAsync(0);

describe('the reconciler', () => {
  it('takes what is marked before and during a step together, never two steps at once', async () => {
    const { step, running, count } = steps();
    const reconciler = new Reconciler(step, () => {});
    reconciler.mark();
    reconciler.mark();
    await turn();
    expect(count()).toBe(1);
    reconciler.mark();
    reconciler.mark();
    await turn();
    expect(count()).toBe(1);
    running[0]?.end();
    await turn();
    expect(count()).toBe(2);
    running[1]?.end();
    await turn();
    expect(count()).toBe(2);
  });

  it('what may wait goes with the next step that is marked, or has one of its own in time', async () => {
    const { step, running, count } = steps();
    const reconciler = new Reconciler(step, () => {});
    reconciler.markLater(500);
    await vi.advanceTimersByTimeAsync(400);
    reconciler.markLater(500);
    expect(count()).toBe(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(count()).toBe(1);
    running[0]?.end();
    reconciler.markLater(500);
    reconciler.mark();
    await turn();
    expect(count()).toBe(2);
    running[1]?.end();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(count()).toBe(2);
  });

  it('tries a failed step again, later each time, and at once after a success', async () => {
    const { step, running, count } = steps();
    const delays: number[] = [];
    const reconciler = new Reconciler(step, (_, delay) => delays.push(delay));
    reconciler.mark();
    await turn();
    for (let i = 0; i < 9; i++) {
      running[i]?.fail(new Error('no room'));
      await turn();
      expect(count()).toBe(i + 1);
      await vi.advanceTimersByTimeAsync(delays[i] as number);
      expect(count()).toBe(i + 2);
    }
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    running[9]?.end();
    await turn();
    reconciler.mark();
    await turn();
    running[10]?.fail(new Error('again'));
    await turn();
    expect(delays.at(-1)).toBe(100);
    await reconciler.close();
  });

  it('keeps a mark that comes while it waits for the next try', async () => {
    const { step, running, count } = steps();
    const reconciler = new Reconciler(step, () => {});
    reconciler.mark();
    await turn();
    running[0]?.fail(new Error('no room'));
    await turn();
    reconciler.mark();
    await turn();
    expect(count()).toBe(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(count()).toBe(2);
    running[1]?.end();
    await turn();
    expect(count()).toBe(2);
  });

  it('loses no mark between the end of a step and the end of the loop', async () => {
    for (let hops = 0; hops < 12; hops++) {
      let count = 0;
      const reconciler = new Reconciler(
        async () => void count++,
        () => {},
      );
      reconciler.mark();
      await Promise.resolve();
      for (let i = 0; i < hops; i++) await Promise.resolve();
      const before = count;
      reconciler.mark();
      await turn();
      expect(count, `marked after ${hops} hops`).toBe(before === 0 ? 1 : 2);
    }
  });

  it('waits for the step that runs when closed, and begins no other', async () => {
    const { step, running, count } = steps();
    const reconciler = new Reconciler(step, () => {});
    reconciler.mark();
    await turn();
    reconciler.mark();
    let closed = false;
    const closing = reconciler.close().then(() => {
      closed = true;
    });
    await turn();
    expect(closed).toBe(false);
    running[0]?.end();
    await closing;
    expect(count()).toBe(1);
    reconciler.mark();
    await turn();
    expect(count()).toBe(1);
  });
});
