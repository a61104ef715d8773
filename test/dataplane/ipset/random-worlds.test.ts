/** Random worlds through sets and chains. SELVEDGE_IPSET_WORLDS=200 asks about more of them; SELVEDGE_SEED repeats a run. */
import { afterAll, beforeAll, it } from 'vitest';
import { describeAsRoot } from '../../support/privilege.ts';
import { judgeRandomWorlds } from '../../support/worlds/judge-worlds.ts';
import { PacketSite } from './support/packet-site.ts';

const worlds = Number(process.env.SELVEDGE_IPSET_WORLDS ?? 10);

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let site: PacketSite;

    beforeAll(() => {
      site = new PacketSite(`worlds-${variant}`, { variant });
    });

    afterAll(() => site?.close());

    it('judge packets of random worlds as the oracle does', { timeout: 120_000 + worlds * 2000 }, async () => {
      await judgeRandomWorlds(site, { worlds, questions: 300 });
    });
  });
}
