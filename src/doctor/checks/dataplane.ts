/** What `--dataplane auto` would choose, and what ipset and iptables find on the node. */
import { missingBridgeSysctls } from '../../dataplane/ipset/bridge-sysctls.ts';
import { detectVariant } from '../../dataplane/ipset/detect-variant.ts';
import { Programs } from '../../dataplane/ipset/programs.ts';
import { type Check, failure, ok, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';

export const dataplaneChecks: readonly Check[] = [
  {
    id: 'dataplane',
    group: 'data plane',
    looksAt: 'what `--dataplane auto` would choose here, and why',
    run: async (node) => {
      const { bpf, ipset } = await node.trial();
      if (bpf.works) return ok(`bpf: it is the best that there is, and works here; ${bpf.words}`);
      if (ipset.works)
        return ok(
          `ipset: bpf is not possible here: ${bpf.words}`,
          'the same verdicts; docs/semantics.md has the few differences',
        );
      return failure(
        `none: bpf: ${bpf.words}; ipset: ${ipset.words}`,
        'nothing can enforce policies on this node',
        'mend one of the two: the check `bpf` is for the better one',
      );
    },
  },
  {
    id: 'ipset',
    group: 'data plane',
    looksAt:
      'make the sets, matches and targets that ipset and iptables need: hash:ip with skbinfo, hash:net, xt_set, xt_bpf, nftables for bridges',
    run: async (node) => {
      const { ipset, bpf } = await node.trial();
      if (ipset.works) return ok('everything that it needs can be made');
      const means = bpf.works
        ? 'nothing to fall back to, should BPF fail here'
        : 'nothing can enforce policies on this node';
      return (bpf.works ? warning : failure)(ipset.words, means, 'install ipset, iptables and nftables');
    },
  },
  {
    id: 'iptables-variant',
    group: 'data plane',
    looksAt: 'which iptables the node’s rules are written with, nft or legacy, and whether both are in use',
    run: async (node) => {
      node.needCapability('CAP_NET_ADMIN', 'reading the rules');
      const { variant, reason, both } = await detectVariant({
        nft: new Programs({ variant: 'nft' }),
        legacy: new Programs({ variant: 'legacy' }),
      });
      const found = `${variant}: ${reason}`;
      if (!both) return ok(found);
      const means = 'packets pass the rules of both; which come first is hard to tell';
      return warning(
        `both are in use; ${found}`,
        means,
        'move what is in the other one, or flush it if it is a leftover',
      );
    },
  },
  {
    id: 'bridge-netfilter',
    group: 'data plane',
    looksAt:
      'net.bridge.bridge-nf-call-iptables and -ip6tables: whether iptables sees what passes between pods on one bridge',
    run: (node) => bridgeNetfilter(node),
  },
];

async function bridgeNetfilter(node: NodeFacts) {
  const missing = missingBridgeSysctls([4, 6]);
  if (missing.length === 0) return ok('br_netfilter is loaded, both are 1');
  const found = `off or missing: ${missing.join(', ')}`;
  const todo = 'modprobe br_netfilter, and set them to 1 in /etc/sysctl.d';
  const { bpf } = await node.trial();
  if (bpf.works) {
    return warning(found, 'BPF does not need them; Services between pods of one node, and ipset, do', todo);
  }
  return failure(found, 'with ipset, pods on one bridge would not be protected from each other', todo);
}
