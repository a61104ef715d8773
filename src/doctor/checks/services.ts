/** What translates Services, answers DNS and remembers connections beside us. */
import { type Check, type Finding, ok, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';

export const serviceChecks: readonly Check[] = [
  {
    id: 'kube-proxy',
    group: 'services',
    looksAt:
      'kube-proxy’s mode by what it has made: KUBE-SERVICES chains, the nftables table kube-proxy, the interface kube-ipvs0',
    run: (node) => kubeProxy(node),
  },
  {
    id: 'nodelocal-dns',
    group: 'services',
    looksAt: 'NodeLocal DNSCache: the interface nodelocaldns, or 169.254.20.10',
    run: (node) => {
      const link = node.links().some(({ name }) => name === 'nodelocaldns');
      const address = node.addresses().some((one) => one.address === '169.254.20.10');
      if (!link && !address) return ok('not in use');
      return ok(
        `in use${address ? ' on 169.254.20.10' : ''}`,
        'its address is the node’s own, and pods always reach their node: no egress rule is needed for it, and none can deny it',
      );
    },
  },
  {
    id: 'conntrack-size',
    group: 'services',
    looksAt: 'entries of the conntrack table against its maximum',
    run: (node) => {
      const max = node.number('/proc/sys/net/netfilter/nf_conntrack_max');
      const count = node.number('/proc/sys/net/netfilter/nf_conntrack_count');
      if (max === undefined || count === undefined) {
        return ok('conntrack is not loaded', 'nobody tracks connections here yet: kube-proxy or Flannel’s rules would');
      }
      const percent = Math.round((count / Math.max(1, max)) * 100);
      const found = `${count} of ${max} (${percent} %)`;
      if (percent < 80) return ok(found);
      const means = 'once it is full new connections are dropped, whatever the policies say';
      return warning(
        found,
        means,
        `sysctl -w net.netfilter.nf_conntrack_max=${max * 2}, or find out who opens so many`,
      );
    },
  },
];

async function kubeProxy(node: NodeFacts): Promise<Finding> {
  const modes: string[] = [];
  const chains = await node.chains();
  if (chains.includes('KUBE-SERVICES')) modes.push('iptables');
  if ((await node.tables()).some((name) => /^ip6? kube-proxy$/.test(name))) modes.push('nftables');
  // IPVS has a few chains too.
  const ipvs = node.links().some(({ name }) => name === 'kube-ipvs0');
  if (ipvs) modes.splice(0, modes.length, 'ipvs', ...modes.filter((mode) => mode !== 'iptables'));
  if (modes.length === 0) return ok('no rules of it', 'Services are not translated here yet, or by something else');
  if (modes.length > 1) {
    return warning(
      `traces of ${modes.join(' and ')}`,
      'a Service may be translated by a mode that is no longer kept up',
      'run `kube-proxy --cleanup` for the mode that is not used',
    );
  }
  if (!ipvs) return ok(`${modes[0]} mode`);
  return warning(
    'ipvs mode',
    'with BPF the backend is judged where it shows, as in the other modes, but this was never run; with ipset traffic to virtual IPs does not pass FORWARD and is not judged on the pod that sends it',
    'use BPF, or kube-proxy in iptables or nftables mode; try the policies that matter',
  );
}
