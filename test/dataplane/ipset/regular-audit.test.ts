/** Regular audits: they look beside the writing of states, and stop it only for what they have found. */
import { describe, expect, it } from 'vitest';
import { RegularAudit } from '../../../src/dataplane/ipset/regular-audit.ts';

/** Runs until `mend` was called or so many looks were taken. @returns how many looks there were, and whether it mended */
async function audited(found: readonly string[] | Error, steps: (looks: number) => number, most: number) {
  const { promise, resolve } = Promise.withResolvers<{ looks: number; asked: number; mended: boolean }>();
  let [looks, asked] = [0, 0];
  const audit = new RegularAudit({
    every: 1,
    look: async () => {
      looks++;
      if (found instanceof Error) throw found;
      return found;
    },
    mend: async () => resolve({ looks, asked, mended: true }),
    steps: () => {
      if (++asked > most) resolve({ looks, asked, mended: false });
      return steps(looks);
    },
  });
  try {
    return await promise;
  } finally {
    audit.close();
  }
}

describe('a regular audit', () => {
  it('stops nothing while all is well', async () => {
    expect(await audited([], () => 2, 20)).toMatchObject({ mended: false });
  });

  it('mends what it finds, and what it cannot look at', async () => {
    expect(await audited(['a chain'], () => 2, 20)).toMatchObject({ looks: 1, mended: true });
    expect(await audited(new Error('no such table'), () => 2, 20)).toMatchObject({ looks: 1, mended: true });
  });

  it('does not look while a state is written, and not for ever', async () => {
    expect(await audited([], () => 1, 100)).toMatchObject({ looks: 0, mended: true });
  });

  it('takes what it finds for a half where a state was written meanwhile, a few times', async () => {
    const { looks, mended } = await audited(['a chain'], (taken) => 2 * taken, 100);
    expect(mended).toBe(true);
    expect(looks).toBeGreaterThan(1);
  });
});
