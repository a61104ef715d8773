/** Slim objects to ones that share what is equal in them: replicas have the same labels, ports and namespace. */
import type { ClusterObject, ContainerPort, Labels, Pod } from '../../model/cluster.ts';

/** How many values are remembered, at most twice this. Forgetting one costs memory for another copy, nothing else. */
const REMEMBERED = 32_768;

export class Interning {
  readonly #texts = new Pool<string>();
  readonly #labels = new Pool<Labels>();
  readonly #ports = new Pool<readonly ContainerPort[]>();

  /** The same object; of a pod one that is as small as can be, for there are many. */
  share(object: ClusterObject): ClusterObject {
    return object.kind === 'Pod' ? this.#pod(object) : object;
  }

  #pod(pod: Pod): Pod {
    const { kind, name, hostNetwork, finished, instance } = pod;
    // A list that grew by pushing keeps room for more; a copy does not.
    const addresses = pod.addresses.slice();
    const namespace = this.#texts.one(pod.namespace, pod.namespace);
    const labels = this.#labels.one(JSON.stringify(pod.labels), pod.labels);
    const ports = this.#ports.one(JSON.stringify(pod.ports), pod.ports);
    // Written out as literals: V8 gives these just the room that they need, which copies by spread do not get.
    if (pod.node === undefined) return { kind, namespace, name, labels, addresses, hostNetwork, finished, ports };
    const node = this.#texts.one(pod.node, pod.node);
    if (instance === undefined) return { kind, namespace, name, labels, node, addresses, hostNetwork, finished, ports };
    return { kind, namespace, name, labels, node, addresses, hostNetwork, finished, ports, instance };
  }
}

/** Values by their text, of which those used of late stay: two generations, the older dropped when the younger is full. */
class Pool<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  one(text: string, value: Value): Value {
    let known = this.#young.get(text);
    if (known !== undefined) return known;
    known = this.#old.get(text) ?? value;
    if (this.#young.size >= REMEMBERED) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, known);
    return known;
  }
}
