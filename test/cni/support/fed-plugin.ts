/** The plugin called for pods of a small node, as its container runtime would. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedNode } from '../../agent/support/fed-node.ts';
import type { NodeAgent } from '../../agent/support/node-agent.ts';
import { type CniOutcome, callPlugin, environmentOf, resultOf } from './plugin.ts';

export interface Settings {
  readonly container?: string;
  readonly address?: string;
  readonly cniVersion?: string;
  readonly timeout?: number;
  readonly onAgentDown?: 'closed' | 'open';
  /** The one that the pod's record has, when absent. */
  readonly uid?: string;
}

export interface FedCall {
  readonly socket: string;
  readonly command: string;
  /** Its name in the namespace `shop`. */
  readonly pod: string;
  readonly settings: Settings;
}

export function netnsOn(fed: FedNode, pod: string): string {
  return `/run/netns/${fed.node.namespace}-${pod}`;
}

export function callOn(fed: FedNode, { socket, command, pod, settings }: FedCall): Promise<CniOutcome> {
  const { container = `c-${pod}`, address = '', uid, ...more } = settings;
  const path = netnsOn(fed, pod);
  const prevResult = resultOf(address, `v${pod}`, path);
  const fields = { name: 'cbr0', type: 'selvedge-cni', 'cni.dev/valid-attachments': null };
  const config = { cniVersion: '1.0.0', ...fields, socket, timeout: 20, prevResult, ...more };
  const known = fed.server.storage.get('Pod', `shop/${pod}`)?.metadata.uid ?? '';
  const environment = environmentOf({ pod, netns: path, container, uid: uid ?? known });
  return callPlugin({ namespace: fed.node.namespace, command, config, environment });
}

/** A node whose agents listen where its plugin asks. */
export class PluggedNode implements AsyncDisposable {
  readonly fed: FedNode;
  readonly folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  readonly socket = join(this.folder, 'agent.sock');

  private constructor(fed: FedNode) {
    this.fed = fed;
  }

  static async start(): Promise<PluggedNode> {
    return new PluggedNode(await FedNode.start());
  }

  agent(...args: readonly string[]): NodeAgent {
    return this.fed.agent({ args: ['--socket', this.socket, '--health-address', '', ...args] });
  }

  /** One to which what comes is open as long as nobody says whose it is, so that it is the plugin that closes it; with whole pods. */
  async openAgent(...pods: readonly string[]): Promise<NodeAgent> {
    const agent = this.agent('--pending', 'open');
    for (const [place, name] of pods.entries()) this.fed.start(name, `10.66.0.${place + 10}`);
    await agent.enforced(...pods);
    for (const name of pods) await this.fed.node.whenUp(name);
    return agent;
  }

  call(command: string, pod: string, settings: Settings = {}): Promise<CniOutcome> {
    return callOn(this.fed, { socket: this.socket, command, pod, settings });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fed[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
