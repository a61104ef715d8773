/** Reading in turns: nothing is lost by a pause, and a flood gets its share of the time and no more. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Reading, readPaced } from '../../../src/dataplane/bpf/paced-reader.ts';

/** A ring that delivers some records each time that it is read. */
class Ring {
  readonly records: number[] = [];
  opened = 0;
  #listener: ((record: Uint8Array) => void) | undefined;

  readonly reading: Reading = (onRecord) => {
    this.opened++;
    this.#listener = onRecord;
    return () => {
      this.#listener = undefined;
    };
  };

  get isRead(): boolean {
    return this.#listener !== undefined;
  }

  /** What the kernel wakes the reader for. */
  wake(most = 1024): void {
    const listener = this.#listener;
    if (listener !== undefined) for (const record of this.records.splice(0, most)) listener(Uint8Array.of(record));
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('every record of a batch is delivered, then nothing is read for a while', () => {
  const ring = new Ring();
  const got: number[] = [];
  const end = readPaced(ring.reading, ([record]) => void got.push(record as number));
  ring.records.push(1, 2, 3);
  ring.wake(2);
  expect(got).toEqual([1, 2]);
  vi.advanceTimersToNextTimer();
  expect(ring.isRead).toBe(false);
  ring.records.push(4);
  ring.wake();
  vi.advanceTimersByTime(60);
  expect(ring.isRead).toBe(true);
  ring.wake();
  expect(got).toEqual([1, 2, 3, 4]);
  end();
});

test('a batch that took long is followed by a pause that makes up for it', () => {
  const ring = new Ring();
  const end = readPaced(ring.reading, () => {});
  let busy = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => busy);
  ring.records.push(1);
  ring.wake();
  busy = 40;
  vi.advanceTimersToNextTimer();
  vi.advanceTimersByTime(900);
  expect(ring.isRead).toBe(false);
  vi.advanceTimersByTime(200);
  expect(ring.isRead).toBe(true);
  end();
  vi.restoreAllMocks();
});

test('once ended it reads no more, whenever that was', () => {
  const ring = new Ring();
  const ends = [0, 1, 2].map((steps) => {
    const end = readPaced(ring.reading, () => {});
    ring.records.push(1);
    ring.wake();
    for (let i = 0; i < steps; i++) vi.advanceTimersToNextTimer();
    end();
    end();
    return ring.opened;
  });
  vi.runAllTimers();
  expect(ring.opened).toBe(ends.at(-1));
  expect(ring.isRead).toBe(false);
});
