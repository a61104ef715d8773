import { TestScheduler } from 'rxjs/testing';
import { expect, it } from 'vitest';
import { settled } from '../../../src/sources/directory/settled.ts';

const cases: [string, string, string][] = [
  ['a lone notice comes after the quiet time', 'a---------|', '---x------|'],
  ['a burst gives one', 'a-aa------|', '------x---|'],
  ['two that lie apart give two', 'a-----a---|', '---x-----x|'],
  ['what never rests comes all the same', 'aaaaaaaaaaaaaa----|', '--------x-------x-|'],
];
it.each(cases)('%s', (_, notices, expected) => {
  const scheduler = new TestScheduler((actual, wanted) => expect(actual).toEqual(wanted));
  scheduler.run(({ hot, expectObservable }) => {
    const source = hot(notices);
    const times: Record<string, undefined> = { x: undefined };
    const one = settled(source, { quiet: 3, atMost: 8, scheduler });
    expectObservable(one).toBe(expected, times);
  });
});
