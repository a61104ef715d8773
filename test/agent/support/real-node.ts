/** A small node with an API server and an etcd of Kubernetes' own, which know it; everything goes together. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { namespace, node, pod } from '../../sources/kubernetes/objects.ts';
import type { Kubeconfig } from '../../support/api-server/kubeconfig.ts';
import { ControlPlane } from '../../support/control-plane/control-plane.ts';
import { admission } from './fed-node.ts';
import { NodeAgent, PinDir } from './node-agent.ts';
import { GATEWAY, type PodOptions, SmallNode } from './small-node.ts';

const NODE = 'node1';
const DEPLOYMENT = fileURLToPath(new URL('../../../deploy/selvedge.yaml', import.meta.url));

export class RealNode implements AsyncDisposable {
  readonly node: SmallNode;
  readonly plane: ControlPlane;
  readonly #pins = new PinDir();
  #agent: NodeAgent | undefined;

  private constructor(small: SmallNode, plane: ControlPlane) {
    this.node = small;
    this.plane = plane;
  }

  /** With what deploy/ installs, a namespace `shop` and the node, and no pods. */
  static async start(flags: readonly string[] = []): Promise<RealNode> {
    const small = new SmallNode();
    try {
      const plane = await ControlPlane.start(small.namespace, flags);
      const real = new RealNode(small, plane);
      await plane.apply(readFileSync(DEPLOYMENT, 'utf8'), namespace('shop'), nodeRecord());
      return real;
    } catch (error) {
      small[Symbol.dispose]();
      throw error;
    }
  }

  /** The credentials that the DaemonSet's pod would have. */
  async account(): Promise<Kubeconfig> {
    return this.plane.kubeconfig({ token: await this.plane.token('kube-system', 'selvedge') });
  }

  /** In place of the one that there was; not waited for. */
  async agent({ path }: Kubeconfig, ...args: readonly string[]): Promise<NodeAgent> {
    if (this.#agent?.running) await this.#agent.end('SIGKILL');
    this.#agent = new NodeAgent({
      namespace: this.node.namespace,
      node: NODE,
      pinDir: this.#pins.path,
      args: ['--kubeconfig', path, '--health-address=', ...args],
    });
    return this.#agent;
  }

  async record(name: string, address: string, labels: Readonly<Record<string, string>> = { app: name }): Promise<void> {
    await this.plane.apply(podRecord(name, address, labels));
  }

  async start(name: string, address: string, options: PodOptions = {}): Promise<void> {
    this.node.addPod(name, address, options);
    await this.record(name, address);
  }

  async stop(name: string): Promise<void> {
    this.node.removePod(name);
    await this.plane.delete(pod('shop', name));
  }

  /** Admits only pods with these labels to those with `app: NAME`. */
  async admit(name: string, ...apps: readonly string[]): Promise<void> {
    await this.plane.apply(admission(name, apps));
  }

  /** For each pair, whether the first of it gets through to the second. */
  reached(...pairs: readonly string[]): boolean[] {
    return pairs.map((pair) => this.node.reaches(...(pair.split(' ') as [string, string])));
  }

  /** Resolves once a pair meets this outcome. */
  async until(pair: string, outcome: boolean): Promise<void> {
    while (this.reached(pair)[0] !== outcome) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#agent?.running) await this.#agent.end('SIGKILL');
    await this.plane[Symbol.asyncDispose]();
    this.#pins[Symbol.dispose]();
    this.node[Symbol.dispose]();
  }
}

function nodeRecord() {
  const { status, ...record } = node(NODE, GATEWAY);
  return { ...record, status: { addresses: (status as { addresses: object }).addresses } };
}

/** Any pod, on this node unless another is named. */
export function podRecord(name: string, address: string, labels: Readonly<Record<string, string>>, where = NODE) {
  const record = pod('shop', name, { labels, node: where, address });
  return { ...record, status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }] } };
}
