/** Pods, policies and labels of a fed node that come, go and change at random, and a base to which it all returns. */
import { namespace, pod, policy } from '../../sources/kubernetes/objects.ts';
import type { ApiObject } from '../../support/api-server/objects.ts';
import type { FedNode } from './fed-node.ts';

/** Of the node, beside the base. */
const PODS = 6;
const POLICIES = 8;
/** On other nodes. */
const REMOTE = 100;
const APPS = ['web', 'api', 'db', 'cache', 'batch'];

export class Churn {
  readonly #fed: FedNode;
  readonly #random: () => number;
  readonly #pods = new Set<string>();
  readonly #objects = new Set<string>();
  #numbers = 0;
  steps = 0;

  constructor(fed: FedNode, seed: number) {
    this.#fed = fed;
    this.#random = generator(seed);
  }

  /** One change. */
  step(): void {
    this.steps++;
    const dice = this.#random();
    if (dice < 0.2) this.#turnPod();
    else if (dice < 0.35) this.#put(policy('shop', `policy${this.#below(POLICIES)}`, this.#spec()));
    else if (dice < 0.4) this.#delete(`NetworkPolicy shop/policy${this.#below(POLICIES)}`);
    else if (dice < 0.45) this.#relabel();
    else if (dice < 0.5) this.#put(namespace(`team${this.#below(4)}`, { team: this.#app() }));
    else this.#remote();
  }

  /** Everything that is not of the base goes. */
  rest(): void {
    for (const name of this.#pods) this.#fed.stop(name);
    this.#pods.clear();
    for (const object of [...this.#objects]) this.#delete(object);
  }

  /** Comes with another address, and mostly another label, each time. */
  #turnPod(): void {
    const name = `pod${this.#below(PODS)}`;
    if (this.#pods.delete(name)) {
      this.#fed.stop(name);
      return;
    }
    this.#pods.add(name);
    const address = `10.66.0.${100 + (this.#numbers++ % 150)}`;
    this.#fed.record(name, undefined, { app: this.#app() });
    this.#fed.node.addPod(name, address);
    this.#fed.record(name, address, { app: this.#app() });
  }

  #relabel(): void {
    for (const name of this.#pods) {
      if (this.#random() < 0.5) this.#fed.record(name, this.#fed.node.pod(name).address, { app: this.#app() });
    }
  }

  #remote(): void {
    const number = this.#below(REMOTE);
    const key = `Pod team0/remote${number}`;
    if (this.#random() < 0.3) {
      this.#delete(key);
      return;
    }
    const address = `10.77.${this.#below(200)}.${number + 1}`;
    this.#put(pod('team0', `remote${number}`, { labels: { app: this.#app() }, node: 'node2', address }));
  }

  #spec(): object {
    const from = [
      { podSelector: { matchLabels: { app: this.#app() } } },
      { namespaceSelector: { matchLabels: { team: this.#app() } } },
      { ipBlock: { cidr: `10.${this.#below(100)}.0.0/16`, except: [`10.${this.#below(100)}.1.0/24`] } },
    ].slice(0, 1 + this.#below(3));
    const ports = [{ protocol: 'UDP', port: 7000 + this.#below(50), endPort: 7100 }];
    return {
      podSelector: this.#random() < 0.2 ? {} : { matchLabels: { app: this.#app() } },
      policyTypes: ['Ingress', 'Egress'].slice(0, 1 + this.#below(2)),
      ingress: [{ from, ports }, {}].slice(0, 1 + this.#below(2)),
      egress: [{ to: from }],
    };
  }

  #put(object: ApiObject): void {
    const { namespace: of, name } = object.metadata;
    this.#objects.add(`${object.kind} ${of === undefined ? '' : `${of}/`}${name}`);
    this.#fed.server.put(object);
  }

  #delete(object: string): void {
    if (!this.#objects.delete(object)) return;
    const [kind, key] = object.split(' ') as [string, string];
    this.#fed.server.delete(kind, key);
  }

  #app(): string {
    return APPS[this.#below(APPS.length)] as string;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** Numbers from 0 to below 1, the same for the same seed. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
