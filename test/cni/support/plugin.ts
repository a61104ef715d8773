/** Calls the real plugin as a container runtime does. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { BUILT_PLUGIN } from '../../../src/cni/install.ts';
import { netns } from '../../../src/native.ts';

export interface Call {
  /** Network namespace of the node; this process's own when absent. */
  readonly namespace?: string;
  readonly command: string;
  readonly config: unknown;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface CniOutcome {
  readonly code: number | null;
  /** What it printed, parsed; undefined for nothing. */
  readonly printed: unknown;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** @param call.config an object, or a text that is to be read as it is; undefined: nothing comes, and no end */
export async function callPlugin({ namespace, command, config, environment = {} }: Call): Promise<CniOutcome> {
  const began = performance.now();
  const start = () => ({ child: spawn(BUILT_PLUGIN, { env: { CNI_COMMAND: command, ...environment } }) });
  const { child } = namespace === undefined ? start() : netns.run(namespace, start);
  child.stdin.on('error', () => {});
  if (config !== undefined) child.stdin.end(typeof config === 'string' ? config : JSON.stringify(config));
  const ended = new Promise<{ code: number | null; milliseconds: number }>((resolve, reject) => {
    child.on('error', reject).on('exit', (code) => resolve({ code, milliseconds: performance.now() - began }));
  });
  const [outcome, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { ...outcome, printed: stdout === '' ? undefined : JSON.parse(stdout), stderr };
}

export interface Attachment {
  readonly pod: string;
  readonly netns: string;
  readonly container?: string;
  readonly ifname?: string;
  /** Empty: the runtime does not say it. */
  readonly uid?: string;
}

/** Of a pod in the namespace `shop`, as containerd gives it. */
export function environmentOf({ pod, netns: path, container = `c-${pod}`, ifname = 'eth0', uid = '' }: Attachment) {
  const more = uid === '' ? '' : `;K8S_POD_UID=${uid}`;
  return {
    CNI_CONTAINERID: container,
    CNI_NETNS: path,
    CNI_IFNAME: ifname,
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_INFRA_CONTAINER_ID=${container}${more}`,
  };
}

/** What `bridge` has made, as the specification of that version has it. */
export function resultOf(address: string, host: string, path: string, cniVersion = '1.0.0'): Record<string, unknown> {
  return {
    cniVersion,
    interfaces: [{ name: 'cni0', mac: '0a:58:0a:42:00:01' }, { name: host }, { name: 'eth0', sandbox: path }],
    ips: [{ ...(cniVersion < '1' && { version: '4' }), interface: 2, address: `${address}/24`, gateway: '10.66.0.1' }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: {},
    'vendor/extra': { kept: true, order: [3, 1, 2] },
  };
}
