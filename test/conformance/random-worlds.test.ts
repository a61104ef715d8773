/** Random worlds through the programs. SELVEDGE_KERNEL_WORLDS=5000 asks about more of them; SELVEDGE_SEED repeats a run. */
import { afterAll, beforeAll, it } from 'vitest';
import { KernelSite } from '../support/kernel/kernel-site.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { judgeRandomWorlds } from '../support/worlds/judge-worlds.ts';

const worlds = Number(process.env.SELVEDGE_KERNEL_WORLDS ?? 150);

describeAsRoot('the kernel', () => {
  let site: KernelSite;

  beforeAll(() => {
    site = new KernelSite('worlds');
  });

  afterAll(() => site?.close());

  it('judges packets of random worlds as the oracle does', { timeout: 120_000 + worlds * 400 }, async () => {
    await judgeRandomWorlds(site, { worlds, questions: 400 });
  });
});
