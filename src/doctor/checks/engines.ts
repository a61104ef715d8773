/** Other policy engines: what each leaves on a node, as rows. A trace means that both enforce, or that one was not cleaned up. */
import { type Check, type Finding, ok, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';

interface Engine {
  readonly id: string;
  readonly name: string;
  /** Chains of iptables. */
  readonly chains?: RegExp;
  readonly sets?: RegExp;
  /** `FAMILY NAME` of nftables. */
  readonly tables?: RegExp;
  readonly links?: RegExp;
  /** On tc and TCX hooks. */
  readonly programs?: RegExp;
  /** Files and folders. */
  readonly files?: readonly string[];
  /** What is more to say of it than that both enforce. */
  readonly means?: string;
  readonly todo: string;
}

const ENGINES: readonly Engine[] = [
  {
    id: 'kube-network-policies',
    name: 'kube-network-policies (Flannel’s netpol.enabled)',
    tables: /^inet kube-network-policies/,
    means: 'first packets wait for its process',
    todo: 'once Selvedge is ready: set netpol.enabled=false in Flannel’s chart, then `nft delete table inet kube-network-policies` on each node',
  },
  {
    id: 'calico',
    name: 'Calico',
    chains: /^cali[-:]/,
    sets: /^cali[46]0/,
    tables: /^ip6? calico$/,
    links: /^(cali[0-9a-f]|vxlan\.calico|vxlan-v6\.calico|bpfin\.cali|bpfout\.cali)/,
    programs: /^cali_/,
    todo: 'remove its DaemonSet; a reboot, or flushing the cali-* chains and sets, takes the rest',
  },
  {
    id: 'cilium',
    name: 'Cilium',
    chains: /^(OLD_)?CILIUM_/,
    links: /^(cilium_(host|net|vxlan|geneve)|lxc[0-9a-f]{6,})/,
    programs: /^cil_/,
    files: ['/sys/fs/bpf/cilium', '/sys/fs/bpf/tc/globals/cilium_policy'],
    todo: 'remove its DaemonSet and run `cilium-dbg post-uninstall-cleanup` on the node',
  },
  {
    id: 'kube-router',
    name: 'kube-router (also in k3s)',
    chains: /^KUBE-(ROUTER|NWPLCY|POD-FW)/,
    sets: /^(inet6:)?(KUBE-(SRC|DST)-|kube-router-)/,
    tables: /kube-router/,
    todo: 'k3s: start it with --disable-network-policy; elsewhere remove its DaemonSet and run `kube-router --cleanup-config`',
  },
  {
    id: 'aws',
    name: 'AWS network policy agent',
    programs: /^handle_(in|e)gress$/,
    files: ['/sys/fs/bpf/globals/aws'],
    todo: 'set enable-network-policy-controller to "false" and start the aws-node pods anew',
  },
  {
    id: 'weave',
    name: 'Weave Net',
    chains: /^WEAVE-(NPC|EXPOSE)/,
    sets: /^weave-/,
    links: /^(weave$|vethwe)/,
    todo: 'remove its DaemonSet and run `weave reset`',
  },
  {
    id: 'antrea',
    name: 'Antrea',
    chains: /^ANTREA-/,
    sets: /^ANTREA-/,
    links: /^antrea-(gw|tun)/,
    todo: 'remove its DaemonSet and apply its clean-up manifest',
  },
  {
    id: 'azure-npm',
    name: 'Azure Network Policy Manager',
    chains: /^AZURE-NPM/,
    sets: /^azure-npm-/,
    todo: 'remove its DaemonSet and reboot the node',
  },
];

export const engineChecks: readonly Check[] = [
  ...ENGINES.map(
    (engine): Check => ({
      id: engine.id,
      group: 'other engines',
      looksAt: looksAt(engine),
      run: async (node) => judged(engine, await tracesOf(engine, node)),
    }),
  ),
  {
    id: 'tc-programs',
    group: 'other engines',
    looksAt: 'others’ tc and TCX programs on veths',
    run: (node) => {
      const veths = new Set(
        node
          .links()
          .filter(({ kind }) => kind === 'veth')
          .map(({ name }) => name),
      );
      const found = node.foreignPrograms().filter(({ link }) => veths.has(link));
      if (found.length === 0) return ok('none');
      const words = found.map(({ link, direction, name }) => `${name} on ${link} (${direction})`);
      return warning(
        listed(words),
        'what they drop or redirect is not seen by ours: a redirect around the hooks is not judged',
        'find out whose they are (`tc filter show`, `bpftool net`), and that they let packets go on',
      );
    },
  },
];

function judged({ name, means, todo }: Engine, traces: readonly string[]): Finding {
  if (traces.length === 0) return ok('no trace');
  const both = `traces of ${name}: only what both admit passes while it enforces`;
  return warning(listed(traces), means === undefined ? both : `${both}; ${means}`, todo);
}

async function tracesOf(engine: Engine, node: NodeFacts): Promise<string[]> {
  const { chains, sets, tables, links, programs, files = [] } = engine;
  const some = (what: string, names: readonly string[], pattern: RegExp | undefined) => {
    const fitting = pattern === undefined ? [] : names.filter((name) => pattern.test(name)).sort();
    return fitting.length === 0 ? [] : [`${what} ${listed(fitting)}`];
  };
  return [
    ...some('nftables table', tables ? await node.tables() : [], tables),
    ...some('chains', chains ? await node.chains() : [], chains),
    ...some('sets', sets ? await node.sets() : [], sets),
    ...some('interfaces', links ? node.links().map(({ name }) => name) : [], links),
    ...some('programs', programs ? [...new Set(node.foreignPrograms().map(({ name }) => name))] : [], programs),
    ...files.filter((path) => node.exists(path)),
  ];
}

const SHOWN = 3;

function listed(names: readonly string[]): string {
  const more = names.length - SHOWN;
  return names.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function looksAt({ name, chains, sets, tables, links, programs, files }: Engine): string {
  const kinds = [
    ...(tables ? ['tables'] : []),
    ...(chains ? ['chains'] : []),
    ...(sets ? ['sets'] : []),
    ...(links ? ['interfaces'] : []),
    ...(programs ? ['tc programs'] : []),
    ...(files ? ['pins'] : []),
  ];
  return `${name}: its ${kinds.join(', ')}`;
}
