import { VirtualTimeScheduler } from 'rxjs';
import { expect, it } from 'vitest';
import { Pace } from '../../../src/sources/kubernetes/pace.ts';

function setUp() {
  const clock = new VirtualTimeScheduler();
  const pace = new Pace(clock);
  const taken: number[] = [];
  const take = () => taken.push(clock.now());
  /** One arrival every so often. @returns when each was taken */
  const arrivals = (count: number, everyMs: number, bytes = 5_000) => {
    for (let i = 0; i < count; i++) clock.schedule(() => pace.arrived(take, bytes), i * everyMs);
    clock.flush();
    return taken;
  };
  return { clock, pace, taken, take, arrivals };
}

it('what comes now and then is taken when it comes', () => {
  expect(setUp().arrivals(200, 8)).toEqual(Array.from({ length: 200 }, (_, i) => i * 8));
});

it('what comes often is taken together, none later than 15 ms after it came', () => {
  const taken = setUp().arrivals(200, 5);
  const often = taken.filter((at) => at > 32 * 5);
  expect(often.length).toBeLessThan(168 / 2.5);
  for (const [i, at] of often.slice(1).entries()) expect(at - (often[i] as number)).toBeLessThanOrEqual(20);
  expect(taken.at(-1)).toBeLessThanOrEqual(199 * 5 + 15);
});

it('what is much is taken at once, and so is everything when somebody hurries', () => {
  expect(setUp().arrivals(100, 1, 300_000)).toHaveLength(100);
  const { clock, pace, taken, take } = setUp();
  for (let i = 0; i < 40; i++) pace.arrived(take, 10);
  const before = taken.length;
  pace.flush();
  expect(taken).toHaveLength(before + 1);
  clock.flush();
  expect(taken).toHaveLength(before + 1);
});
