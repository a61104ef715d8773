/** The node's CNI configuration, and Flannel's part of it. */
import { CannotKnowError, type Check, type Finding, failure, ok, unknown, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';

const CONF_DIR = '/etc/cni/net.d';
const SUBNET_ENV = '/run/flannel/subnet.env';

/** Give each pod a veth whose other end is in the node's namespace. */
const VETH = new Set([
  'flannel',
  'bridge',
  'ptp',
  'kindnet',
  'calico',
  'cilium-cni',
  'weave-net',
  'aws-cni',
  'azure-vnet',
  'antrea',
  'kube-ovn',
  'kuberouter',
]);
/** Give it something that no program of ours sees. */
const NO_VETH = new Set(['macvlan', 'ipvlan', 'host-device', 'vlan', 'sriov', 'ib-sriov', 'tap', 'dummy', 'ovs']);

interface PluginConf {
  readonly type?: string;
  readonly mtu?: number;
  readonly delegate?: { readonly mtu?: number };
}

interface CniConf {
  readonly file: string;
  readonly name: string;
  readonly plugins: readonly PluginConf[];
  readonly others: readonly string[];
}

export const cniChecks: readonly Check[] = [
  {
    id: 'cni-config',
    group: 'cni',
    looksAt: `${CONF_DIR}: the file that the container runtime takes, the first by name`,
    run: (node) => {
      const conf = cniConf(node);
      if (conf === undefined) {
        return warning(
          `none in ${CONF_DIR}`,
          'no CNI is set up here yet: no pod gets an address',
          'install the CNI, Flannel say, first',
        );
      }
      const chain = conf.plugins.map(({ type }) => type ?? '?').join(', ');
      const found = `${conf.file}: ${conf.name} (${chain})`;
      if (conf.others.length === 0) return ok(found);
      return warning(found, `not used: ${conf.others.join(', ')}`, 'remove what an earlier CNI has left');
    },
  },
  {
    id: 'cni-veth',
    group: 'cni',
    looksAt:
      'whether the CNI gives each pod a veth: flannel, bridge, ptp, kindnet do; macvlan, ipvlan, host-device do not',
    run: (node) => {
      const type = cniConf(node)?.plugins[0]?.type;
      if (type === undefined) return unknown('no CNI configuration to look at', 'install the CNI first');
      if (VETH.has(type)) return ok(`${type}: a veth for each pod`);
      if (NO_VETH.has(type)) {
        return failure(
          `${type}: no veth for each pod`,
          'pods’ packets pass no interface of the node: they cannot be protected',
          'use a CNI with a veth per pod',
        );
      }
      return warning(
        `${type}: not one that is known here`,
        'pods are protected where each has a veth into the node',
        'look at `ip -d link` for a veth per pod',
      );
    },
  },
  {
    id: 'flannel',
    group: 'cni',
    looksAt: `Flannel's backend and networks: ${SUBNET_ENV}, /etc/kube-flannel/net-conf.json and its interfaces`,
    run: (node) => flannel(node),
  },
  {
    id: 'mtu',
    group: 'cni',
    looksAt: 'whether Flannel’s and the CNI configuration’s MTU fit the interfaces that there are',
    run: (node) => mtu(node),
  },
];

/** Of the first file; undefined where there is none. @throws {CannotKnowError} a file that is no JSON */
export function cniConf(node: NodeFacts): CniConf | undefined {
  const files = node.list(CONF_DIR).filter((name) => /\.(conf|conflist|json)$/.test(name));
  const [file] = files;
  if (file === undefined) return undefined;
  const conf = parsed(file, node.read(`${CONF_DIR}/${file}`) ?? '') as { name?: string; plugins?: PluginConf[] };
  return { file, name: conf.name ?? '?', plugins: conf.plugins ?? [conf as PluginConf], others: files.slice(1) };
}

function parsed(file: string, text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
    throw new Error('it is no object');
  } catch (cause) {
    throw new CannotKnowError(`${file} is no CNI configuration: ${(cause as Error).message}`, { cause });
  }
}

function subnetEnv(node: NodeFacts): ReadonlyMap<string, string> | undefined {
  const text = node.read(SUBNET_ENV);
  return text === undefined
    ? undefined
    : new Map([...text.matchAll(/^(FLANNEL_\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}

function isFlannel(node: NodeFacts): boolean {
  return cniConf(node)?.plugins.some(({ type }) => type === 'flannel') ?? false;
}

function flannel(node: NodeFacts): Finding {
  const env = subnetEnv(node);
  if (env === undefined) {
    if (!isFlannel(node)) return ok('not in use');
    return warning(
      `${SUBNET_ENV} is missing`,
      'flanneld has not run here: no pod gets an address',
      'look at flanneld’s log',
    );
  }
  const networks = ['FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK'].map((name) => env.get(name)).filter(Boolean);
  const subnets = ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET'].map((name) => env.get(name)).filter(Boolean);
  const backend = backendOf(node);
  const found = `backend ${backend}, pods ${subnets.join(' and ')} of ${networks.join(' and ')}`;
  if (backend === 'vxlan') {
    return ok(
      found,
      'a pod that may send to nodes’ UDP port 8472 could forge another’s packets: see "Forged VXLAN packets" in docs/operations.md',
    );
  }
  if (backend === 'ipsec') {
    return warning(
      found,
      'the kernel encrypts pods’ packets before tc sees them leave: what an isolated pod sends to other nodes would be judged by the node’s address',
      'use --dataplane ipset, which judges before that, or another backend: wireguard encrypts too',
    );
  }
  return ok(found);
}

/** As configured; where only flanneld sees that file, by the interface that each backend makes. */
function backendOf(node: NodeFacts): string {
  const text = node.read('/etc/kube-flannel/net-conf.json');
  const conf = text === undefined ? {} : (parsed('net-conf.json', text) as { Backend?: { Type?: string } });
  if (conf.Backend?.Type !== undefined) return conf.Backend.Type;
  const names = node.links().map(({ name }) => name);
  if (names.some((name) => /^flannel(-v6)?\.\d+$/.test(name))) return 'vxlan';
  if (names.some((name) => name.startsWith('flannel-wg'))) return 'wireguard';
  return names.includes('flannel0') ? 'udp' : 'host-gw';
}

function mtu(node: NodeFacts): Finding {
  const wanted = Number(subnetEnv(node)?.get('FLANNEL_MTU') ?? Number.NaN);
  const first = cniConf(node)?.plugins[0];
  const configured = first?.delegate?.mtu ?? first?.mtu;
  const largest = Number.isNaN(wanted) ? configured : wanted;
  if (largest === undefined) return ok('none is configured');
  if (configured !== undefined && configured > largest) {
    return warning(
      `the CNI configuration says ${configured}, Flannel ${largest}`,
      'large packets are lost between nodes',
      `set "mtu": ${largest}`,
    );
  }
  const wrong = node
    .links()
    .filter(
      ({ name, mtu: own }) => (/^flannel[.\d-]/.test(name) && own !== largest) || (name === 'cni0' && own > largest),
    )
    .map(({ name, mtu: own }) => `${name} has ${own}`);
  if (wrong.length === 0) return ok(`${largest}`);
  return warning(
    `${wrong.join(', ')}, ${largest} is configured`,
    'large packets are lost between nodes',
    'start flanneld anew, and the pods if it is cni0',
  );
}
