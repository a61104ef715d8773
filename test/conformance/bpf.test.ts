/** The BPF data plane passes the suite: every verdict is that of packets through the loaded programs. */
import { KernelSite } from '../support/kernel/kernel-site.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { conformanceSuite } from './conformance-suite.ts';

describeAsRoot('the kernel', () => {
  conformanceSuite({ open: async () => new KernelSite('cases'), skip: new Map() });
});
