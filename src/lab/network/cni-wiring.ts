/**
 * The lab's pods wired by real CNI plugins: plans without cables, and for each pod the calls that a container runtime makes
 * with Flannel's configuration list and the subnet.env that flanneld writes on its node, with its masquerade rules. Host
 * ports are the portmap plugin's.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../child-process.ts';
import { covers, type Family, familyOf, type Prefix, prefixOf, splitPrefix } from '../../model/address.ts';
import { keyOf, type Node, type ObjectKey, type Pod } from '../../model/cluster.ts';
import { netns } from '../../native.ts';
import { labNode, subnetOf } from '../agents/lab-node.ts';
import { inParallel } from '../in-parallel.ts';
import { type LabCluster, runningPods } from '../lab-cluster.ts';
import { LabError } from '../lab-error.ts';
import { folderOf } from '../lab-record.ts';
import { CniRuntime, type ConfList, hostEndOf, type Sandbox } from './cni-runtime.ts';
import { flannelRules } from './flannel-rules.ts';
import type { LabId } from './names.ts';
import { impatientNeighbours, type NamespacePlan } from './namespace-plan.ts';
import { passBridged } from './node-services.ts';

/** As Flannel's manifest has it. */
export const FLANNEL_LIST: ConfList = {
  name: 'cbr0',
  cniVersion: '0.3.1',
  plugins: [
    { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

/** For devices that come later. */
const LINK_LOCAL_BY_KERNEL = '/proc/sys/net/ipv6/conf/default/addr_gen_mode';

/** A pod at a time and node: the plugins lock each other out anyway. */
const NODES = 4;

export class CniWiring {
  readonly #lab: LabId;
  readonly #runtimes = new Map<string, CniRuntime>();
  /** The host's end of each pod's veth, by the pod's network namespace. */
  readonly #ports = new Map<string, string>();

  /** As they were added: a runtime gives DEL what it gave ADD. */
  readonly #sandboxes = new Map<string, Sandbox>();

  constructor(lab: LabId) {
    this.#lab = lab;
  }

  /** Without what the plugins make. @throws {LabError} a pod's address is not of its node's subnets */
  plans(plans: readonly NamespacePlan[], cluster: LabCluster): readonly NamespacePlan[] {
    refuseStrays(this.#lab, cluster);
    return plans.map((plan) => {
      if (plan.place.kind === 'pod') {
        const { cable: _, ...rest } = plan;
        return { ...rest, sysctls: pluginsOwn(plan.sysctls), setup: [], entries: [] };
      }
      if (plan.place.kind !== 'node') return plan;
      const others = (lines: readonly string[]) => lines.filter((line) => !/\bcni0\b/.test(line));
      return { ...plan, links: others(plan.links), setup: others(plan.setup) };
    });
  }

  portOf(podNamespace: string): string | undefined {
    return this.#ports.get(podNamespace);
  }

  /** DEL for pods that go, while their namespaces are still there. */
  async remove(plans: readonly NamespacePlan[]): Promise<void> {
    await inParallel(plans, NODES, async ({ name, place }) => {
      if (place.kind !== 'pod' || !this.#ports.delete(name)) return;
      const sandbox = this.#sandboxes.get(name) ?? { namespace: name, pod: place.pod };
      this.#sandboxes.delete(name);
      await this.#runtimes.get(place.node)?.remove(sandbox);
    });
    for (const { place } of plans) if (place.kind === 'node') this.#runtimes.delete(place.node);
  }

  /** ADD for pods whose namespaces are there and have no interface yet. */
  async add(plans: Iterable<NamespacePlan>, cluster: LabCluster, mtu: number): Promise<void> {
    const all = [...plans];
    const pods = new Map<ObjectKey, Pod>(cluster.pods.map((pod) => [keyOf(pod), pod]));
    const nodes = all.filter(({ place }) => place.kind === 'node');
    await inParallel(nodes, NODES, async ({ name, place }) => {
      if (place.kind !== 'node') return;
      const runtime = this.#runtimes.get(place.node) ?? (await this.#begin(name, place.node, cluster, mtu));
      for (const { name: namespace, place: other } of all) {
        if (other.kind !== 'pod' || other.node !== place.node || this.#ports.has(namespace)) continue;
        const { addresses = [], ports = [] } = pods.get(other.pod) ?? {};
        const result = await runtime.add(this.#sandbox({ namespace, pod: other.pod, addresses, ports }));
        this.#ports.set(namespace, hostEndOf(result) ?? '');
        // As all of the lab: what nobody answers is given up soon.
        await ip(namespace, impatientNeighbours('eth0'));
        await ip(name, impatientNeighbours('cni0'));
      }
    });
  }

  #sandbox(sandbox: Sandbox): Sandbox {
    this.#sandboxes.set(sandbox.namespace, sandbox);
    return sandbox;
  }

  async #begin(namespace: string, node: string, cluster: LabCluster, mtu: number): Promise<CniRuntime> {
    const folder = join(folderOf(this.#lab), 'cni', node);
    mkdirSync(folder, { recursive: true });
    const subnetEnv = join(folder, 'subnet.env');
    writeFileSync(subnetEnv, subnetEnvOf(this.#lab, node, cluster, mtu));
    for (const subnet of nodeOf(cluster, node).podPrefixes) {
      const program = familyOf(subnet) === 4 ? 'iptables-restore' : 'ip6tables-restore';
      const input = flannelRules(networkOf(cluster, familyOf(subnet)), subnet);
      await netns.run(namespace, () => ({ done: run(program, ['--noflush', '-w'], { input }) })).done;
    }
    netns.run(namespace, () => {
      passBridged();
      // Without an address of its own link the bridge could not ask for a pod whose neighbour entry the kernel has dropped.
      writeFileSync(LINK_LOCAL_BY_KERNEL, '0');
    });
    const runtime = new CniRuntime({ namespace, list: FLANNEL_LIST, subnetEnv, dataDir: join(folder, 'ipam') });
    this.#runtimes.set(node, runtime);
    return runtime;
  }
}

/** What flanneld writes for the CNI plugin. */
function subnetEnvOf(lab: LabId, name: string, cluster: LabCluster, mtu: number): string {
  const { gateways } = labNode(lab, nodeOf(cluster, name), runningPods(cluster));
  const lines = gateways.flatMap(({ address, subnet }) => {
    if (subnet === undefined) return [];
    const infix = familyOf(address) === 4 ? '' : 'IPV6_';
    const network = networkOf(cluster, familyOf(address));
    return [`FLANNEL_${infix}NETWORK=${network}`, `FLANNEL_${infix}SUBNET=${address}/${splitPrefix(subnet).length}`];
  });
  return [...lines, `FLANNEL_MTU=${mtu}`, 'FLANNEL_IPMASQ=true', ''].join('\n');
}

function nodeOf({ nodes }: LabCluster, name: string): Node {
  const node = nodes.find((one) => one.name === name);
  if (node === undefined) throw new LabError(`there is no node ${name}`);
  return node;
}

/** Around the nodes' subnets, as its net-conf.json would have it. */
function networkOf({ nodes }: LabCluster, family: Family): Prefix {
  const subnet = nodes.flatMap(({ podPrefixes }) => podPrefixes).find((one) => familyOf(one) === family) as Prefix;
  return prefixOf(splitPrefix(subnet).address, family === 4 ? 16 : 48);
}

/** Pods' link-local addresses are the kernel's own business, as the plugins expect. */
function pluginsOwn(sysctls: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return { ...sysctls, 'ipv6/conf/default/addr_gen_mode': '0' };
}

function refuseStrays(lab: LabId, cluster: LabCluster): void {
  const pods = runningPods(cluster);
  for (const node of cluster.nodes) {
    const known = labNode(lab, node, pods);
    for (const subnet of node.podPrefixes) {
      const network = networkOf(cluster, familyOf(subnet));
      if (!covers(network, subnet)) {
        throw new LabError(
          `with --cni all subnets come from one network: ${subnet} of ${node.name} is not of ${network}`,
        );
      }
    }
    for (const pod of known.pods) {
      const stray = pod.hostNetwork ? undefined : pod.addresses.find((one) => subnetOf(known, one) === undefined);
      if (stray !== undefined) {
        throw new LabError(`with --cni addresses come from the node's subnets: ${keyOf(pod)} has ${stray}`);
      }
    }
  }
}

async function ip(namespace: string, lines: readonly string[]): Promise<void> {
  await netns.run(namespace, () => ({ done: run('ip', ['-batch', '-'], { input: lines.join('\n') }) })).done;
}
