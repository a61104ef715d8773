/** The plugin called for pods of a small node, as its container runtime would. */
import type { FedNode } from '../../agent/support/fed-node.ts';
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
