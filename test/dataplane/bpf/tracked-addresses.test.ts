/** Which of many addresses lie in a prefix, against looking at each. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TrackedAddresses } from '../../../src/dataplane/bpf/tracked-addresses.ts';
import {
  type Address,
  addressBytes,
  addressOf,
  covers,
  type Family,
  prefixOf,
  splitPrefix,
} from '../../../src/model/address.ts';

/** Few enough to meet again, with neighbours in the last bits and strangers in the first. */
const address = (family: Family) =>
  fc
    .tuple(fc.constantFrom(0, 10, 253), fc.constantFrom(0, 1, 255), fc.constantFrom(0, 128, 255), fc.nat(3))
    .map(([first, middle, late, last]) => {
      const bytes = new Uint8Array(family === 4 ? 4 : 16);
      bytes[0] = first;
      bytes[family === 4 ? 1 : 7] = middle;
      bytes[family === 4 ? 2 : 8] = late;
      bytes[bytes.length - 1] = last;
      return addressOf(bytes);
    });

test.each([4, 6] as const)('IPv%d addresses are found in every prefix that holds them, and in no other', (family) => {
  const step = fc.tuple(fc.constantFrom('add', 'delete'), address(family));
  const prefix = fc.tuple(address(family), fc.nat(family === 4 ? 32 : 128)).map(([one, bits]) => prefixOf(one, bits));
  fc.assert(
    fc.property(fc.array(step), fc.array(prefix), (steps, prefixes) => {
      const tracked = new TrackedAddresses(family);
      const all = new Set<Address>();
      for (const [what, one] of steps) {
        tracked[what as 'add' | 'delete'](one);
        all[what as 'add' | 'delete'](one);
      }
      for (const one of prefixes) {
        const { address: start, length } = splitPrefix(one);
        const found = [...tracked.within(addressBytes(start), length)].sort();
        expect(found).toEqual([...all].filter((other) => covers(one, other)).sort());
      }
    }),
  );
});
