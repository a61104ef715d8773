/**
 * A container runtime as far as networks go: calls the plugins of a configuration list for a pod's network namespace, in
 * order for ADD and CHECK, in reverse for DEL. Plugins are the node's own programs; where the list says `flannel`, which
 * distributions do not package, what that one does is done here: `bridge` and `host-local` by subnet.env.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandError, run } from '../../child-process.ts';
import { type Address, type Prefix, prefixOf, splitPrefix } from '../../model/address.ts';
import type { ContainerPort, ObjectKey } from '../../model/cluster.ts';
import { netns } from '../../native.ts';
import { LabError } from '../lab-error.ts';

export interface PluginConf {
  readonly type: string;
  readonly delegate?: Readonly<Record<string, unknown>>;
  /** What it wants to be given of the pod, as `runtimeConfig`. */
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [field: string]: unknown;
}

export interface ConfList {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly PluginConf[];
}

/** What the last plugin gave. */
export interface CniResult {
  readonly interfaces?: readonly { readonly name: string; readonly sandbox?: string }[];
  readonly ips?: readonly { readonly address: string }[];
}

export interface RuntimeOptions {
  /** The node's network namespace. */
  readonly namespace: string;
  readonly list: ConfList;
  /** The file that flanneld writes. */
  readonly subnetEnv: string;
  /** Where host-local remembers who has which address. */
  readonly dataDir: string;
}

export interface Sandbox {
  /** As in /run/netns. */
  readonly namespace: string;
  readonly pod: ObjectKey;
  /** Asked of the plugin for addresses; its own choice when empty. */
  readonly addresses?: readonly Address[];
  /** Those with a host port are led to it, by a plugin that can. */
  readonly ports?: readonly ContainerPort[];
}

/** Where Debian, and the CNI project's own archives, put plugins. */
const FOLDERS = ['/usr/lib/cni', '/opt/cni/bin'];

/** Runtimes call it by themselves, before the list. */
const LOOPBACK: PluginConf = { type: 'loopback' };

export class CniRuntime {
  readonly #options: RuntimeOptions;
  readonly #results = new Map<string, CniResult>();

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /** @throws {LabError} in the words of the plugin that refused; what was made until then is put away again */
  async add(sandbox: Sandbox): Promise<CniResult> {
    let result: CniResult | undefined;
    try {
      await this.#call('ADD', LOOPBACK, sandbox, undefined);
      for (const plugin of this.#options.list.plugins) {
        result = (await this.#call('ADD', plugin, sandbox, result)) as CniResult;
      }
    } catch (error) {
      await this.remove(sandbox).catch(() => {});
      throw error;
    }
    if (result === undefined) throw new LabError(`${this.#options.list.name} has no plugins`);
    this.#results.set(sandbox.namespace, result);
    return result;
  }

  /** @throws {LabError} something is not as ADD has left it */
  async check(sandbox: Sandbox): Promise<void> {
    const result = this.#results.get(sandbox.namespace);
    for (const plugin of this.#options.list.plugins) {
      // Flannel's own answers it without a look at what it has handed on.
      if (plugin.type !== 'flannel') await this.#call('CHECK', plugin, sandbox, result);
    }
  }

  async remove(sandbox: Sandbox): Promise<void> {
    const result = this.#results.get(sandbox.namespace);
    for (const plugin of this.#options.list.plugins.toReversed()) await this.#call('DEL', plugin, sandbox, result);
    await this.#call('DEL', LOOPBACK, sandbox, undefined);
    this.#results.delete(sandbox.namespace);
  }

  async #call(
    command: string,
    plugin: PluginConf,
    sandbox: Sandbox,
    prevResult: CniResult | undefined,
  ): Promise<unknown> {
    const { list, namespace, subnetEnv, dataDir } = this.#options;
    const own = plugin.type === 'flannel' ? delegated(plugin, readFileSync(subnetEnv, 'utf8'), dataDir) : plugin;
    const { addresses = [], ports = [] } = sandbox;
    const portMappings = own.capabilities?.portMappings ? mappingsOf(ports) : [];
    const config = {
      name: list.name,
      cniVersion: list.cniVersion,
      ...own,
      ...(portMappings.length > 0 && { runtimeConfig: { portMappings } }),
      ...(addresses.length > 0 && own !== LOOPBACK && { args: { cni: { ips: addresses } } }),
      ...(prevResult !== undefined && { prevResult }),
    };
    const args = [...environment(command, sandbox, own === LOOPBACK ? 'lo' : 'eth0'), fileOf(own.type)];
    const started = netns.run(namespace, () => ({ output: run('env', args, { input: JSON.stringify(config) }) }));
    try {
      const text = await started.output;
      return text.trim() === '' ? undefined : JSON.parse(text);
    } catch (error) {
      const { stdout, message } = error as CommandError;
      throw new LabError(`${own.type} ${command} of ${sandbox.pod}: ${stdout?.trim() || message}`, { cause: error });
    }
  }
}

/** The host's end of the pod's veth: neither in a sandbox nor the bridge, which comes first. */
export function hostEndOf({ interfaces = [] }: CniResult): string | undefined {
  return interfaces.findLast(({ sandbox }) => sandbox === undefined || sandbox === '')?.name;
}

function mappingsOf(ports: readonly ContainerPort[]) {
  return ports.flatMap(({ hostPort, hostAddress, protocol, port }) => {
    if (hostPort === undefined) return [];
    const mapping = { hostPort, containerPort: port, protocol: protocol.toLowerCase() };
    return [{ ...mapping, ...(hostAddress !== undefined && { hostIP: hostAddress }) }];
  });
}

function environment(command: string, { namespace, pod }: Sandbox, ifname: string): string[] {
  const [podNamespace, name] = pod.split('/');
  return [
    `CNI_COMMAND=${command}`,
    `CNI_CONTAINERID=${namespace}`,
    `CNI_NETNS=/run/netns/${namespace}`,
    `CNI_IFNAME=${ifname}`,
    `CNI_PATH=${FOLDERS.join(':')}`,
    `CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=${podNamespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${namespace}`,
  ];
}

function fileOf(type: string): string {
  if (type.includes('/')) return type;
  const file = FOLDERS.map((folder) => join(folder, type)).find((path) => existsSync(path));
  if (file === undefined) {
    throw new LabError(
      `there is no CNI plugin ${type} in ${FOLDERS.join(' or ')}: install containernetworking-plugins`,
    );
  }
  return file;
}

/** What the flannel plugin hands to `bridge`. */
function delegated({ delegate }: PluginConf, subnetEnv: string, dataDir: string): PluginConf {
  const env = new Map([...subnetEnv.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
  const of = (...names: string[]) => names.flatMap((name) => env.get(name) ?? []);
  const subnets = of('FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET') as Prefix[];
  return {
    type: 'bridge',
    mtu: Number(env.get('FLANNEL_MTU')),
    ipMasq: env.get('FLANNEL_IPMASQ') !== 'true',
    isGateway: true,
    ...delegate,
    ipam: {
      type: 'host-local',
      dataDir,
      ranges: subnets.map((subnet) => [rangeOf(subnet)]),
      routes: of('FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK').map((dst) => ({ dst })),
    },
  };
}

/** `10.244.1.1/24`, the gateway's address in its subnet. */
function rangeOf(subnet: Prefix): { readonly subnet: Prefix; readonly gateway: Address } {
  const { address: gateway, length } = splitPrefix(subnet);
  return { subnet: prefixOf(gateway, length), gateway };
}
