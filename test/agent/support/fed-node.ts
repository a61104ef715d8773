/** A small node with a test API server of its own, from which its agents are fed; everything goes together. */

import { namespace, node, pod, policy } from '../../sources/kubernetes/objects.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Kubeconfig } from '../../support/api-server/kubeconfig.ts';
import type { ApiObject } from '../../support/api-server/objects.ts';
import { type AgentOptions, NodeAgent, PinDir } from './node-agent.ts';
import { GATEWAY, type PodOptions, SmallNode } from './small-node.ts';

const NODE = 'node1';

export class FedNode implements AsyncDisposable {
  readonly server: ApiServer;
  readonly node: SmallNode;
  readonly pins = new PinDir();
  readonly #kubeconfig: Kubeconfig;
  readonly #agents: NodeAgent[] = [];

  private constructor(small: SmallNode, server: ApiServer) {
    this.node = small;
    this.server = server;
    this.#kubeconfig = new Kubeconfig({ server: server.url });
  }

  /** With a namespace `shop` and the node, and no pods. */
  static async start(): Promise<FedNode> {
    const small = new SmallNode();
    try {
      const server = await ApiServer.listen({ namespace: small.namespace });
      server.put(namespace('shop'), node(NODE, GATEWAY));
      return new FedNode(small, server);
    } catch (error) {
      small[Symbol.dispose]();
      throw error;
    }
  }

  /** Another agent, which is told of and not waited for. */
  agent(options: Partial<AgentOptions> = {}): NodeAgent {
    const { args = [], ...more } = options;
    const agent = new NodeAgent({
      namespace: this.node.namespace,
      node: NODE,
      pinDir: this.pins.path,
      ...more,
      args: ['--kubeconfig', this.#kubeconfig.path, ...args],
    });
    this.#agents.push(agent);
    return agent;
  }

  /** What commands need to ask the same server. */
  get where(): readonly string[] {
    return ['--kubeconfig', this.#kubeconfig.path, '--node-name', NODE, '--pin-dir', this.pins.path];
  }

  /** The pod's record, without an address as long as none is given; labelled `app: NAME`. */
  record(name: string, address?: string, labels: Readonly<Record<string, string>> = { app: name }): void {
    this.server.put(pod('shop', name, { labels, node: NODE, ...(address !== undefined && { address }) }));
  }

  /** A whole pod, in the order of a kubelet: record, veth, address in the record. */
  start(name: string, address: string, options: PodOptions = {}): void {
    this.record(name);
    this.node.addPod(name, address, options);
    this.record(name, address);
  }

  stop(name: string): void {
    this.node.removePod(name);
    this.server.delete('Pod', `shop/${name}`);
  }

  /** Admits only pods with these labels to those with `app: NAME`. */
  admit(name: string, ...apps: readonly string[]): void {
    this.server.put(admission(name, apps));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents.filter(({ running }) => running).map((agent) => agent.end('SIGKILL')));
    await this.server[Symbol.asyncDispose]();
    this.#kubeconfig[Symbol.dispose]();
    this.pins[Symbol.dispose]();
    this.node[Symbol.dispose]();
  }
}

/** A policy of the name of those whom it protects. */
export function admission(name: string, apps: readonly string[]): ApiObject {
  return policy('shop', name, {
    podSelector: { matchLabels: { app: name } },
    ingress: apps.map((app) => ({ from: [{ podSelector: { matchLabels: { app } } }] })),
  });
}
