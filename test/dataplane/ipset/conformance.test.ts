/** The ipset data plane passes the suite that every data plane must pass, in both variants of iptables. */

import { conformanceSuite } from '../../conformance/conformance-suite.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { PacketSite } from './support/packet-site.ts';

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    conformanceSuite({ open: async () => new PacketSite(`cases-${variant}`, { variant }), skip: new Map() });
  });
}
