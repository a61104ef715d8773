/** Policies and pods -> warnings of what is valid and seldom meant: a policy that selects no pod, a port name that no pod has. */
import { setImmediate } from 'node:timers/promises';
import {
  type ClusterObject,
  keyOf,
  type NetworkPolicy,
  type ObjectKey,
  type Pod,
  type Selector,
  type Warning,
} from '../model/cluster.ts';
import { matches, selectorText } from '../model/selector.ts';

/** Milliseconds at a time: an agent whose state waits meanwhile is late by no more. */
const TURN_MS = 3;
/** Objects between two looks at the clock. */
const STRIDE = 64;

/** A look at all policies and pods, so for when somebody asks. @param only this policy's warnings; all when absent */
export function seldomMeant(objects: Iterable<ClusterObject>, only?: ObjectKey): Warning[] {
  const work = looked(objects, only);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** The same of all policies as they are now, a little at a time: half a second's work where there are 100,000 pods. */
export async function seldomMeantInTurns(objects: Iterable<ClusterObject>): Promise<Warning[]> {
  const work = looked([...objects], undefined);
  for (let begun = performance.now(); ; ) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - begun < TURN_MS) continue;
    await setImmediate();
    begun = performance.now();
  }
}

/** Stops now and then. */
function* looked(objects: Iterable<ClusterObject>, only: ObjectKey | undefined): Generator<undefined, Warning[]> {
  const policies: NetworkPolicy[] = [];
  const pods = new Map<string, NamespacePods>();
  let seen = 0;
  for (const object of objects) {
    if (++seen % STRIDE === 0) yield;
    if (only !== undefined && !('namespace' in object && only.startsWith(`${object.namespace}/`))) continue;
    if (object.kind === 'NetworkPolicy') policies.push(object);
    if (object.kind !== 'Pod' || object.hostNetwork || object.finished) continue;
    const there = pods.get(object.namespace) ?? new NamespacePods();
    pods.set(object.namespace, there);
    there.add(object);
  }
  const warnings: Warning[] = [];
  for (const policy of policies) {
    yield;
    if (only !== undefined && keyOf(policy) !== only) continue;
    for (const warning of warningsOf(policy, pods.get(policy.namespace)?.selectedBy(policy.podSelector) ?? []))
      warnings.push(warning);
  }
  return warnings;
}

function warningsOf(policy: NetworkPolicy, selected: readonly Pod[]): Warning[] {
  const object = `NetworkPolicy ${keyOf(policy)}`;
  if (selected.length === 0) return [{ object, field: 'spec.podSelector', message: 'selects no pod' }];
  return policy.ingress.flatMap(({ ports }, rule) => {
    return ports.flatMap((port, index) => {
      if (port.kind !== 'named' || selected.some((pod) => pod.ports.some(({ name }) => name === port.name))) return [];
      const field = `spec.ingress[${rule}].ports[${index}].port`;
      return [{ object, field, message: `none of the pods that it selects has a port named ${port.name}` }];
    });
  });
}

/** The pods of one namespace by their labels, so that a policy looks only at those that bear its rarest one. */
class NamespacePods {
  readonly #all: Pod[] = [];
  readonly #byLabel = new Map<string, Pod[]>();
  readonly #selected = new Map<string, readonly Pod[]>();

  add(pod: Pod): void {
    this.#all.push(pod);
    for (const [key, value] of Object.entries(pod.labels)) {
      const label = `${key}=${value}`;
      const bearers = this.#byLabel.get(label);
      if (bearers === undefined) this.#byLabel.set(label, [pod]);
      else bearers.push(pod);
    }
  }

  /** After the last `add`. */
  selectedBy(selector: Selector): readonly Pod[] {
    const text = selectorText(selector);
    const known = this.#selected.get(text);
    if (known !== undefined) return known;
    const selected = this.#candidates(selector).filter(({ labels }) => matches(selector, labels));
    this.#selected.set(text, selected);
    return selected;
  }

  #candidates({ requirements }: Selector): readonly Pod[] {
    let fewest: readonly Pod[] = this.#all;
    for (const requirement of requirements) {
      if (requirement.operator !== 'In') continue;
      const bearers = requirement.values.flatMap((value) => this.#byLabel.get(`${requirement.key}=${value}`) ?? []);
      if (bearers.length < fewest.length) fewest = bearers;
    }
    return fewest;
  }
}
