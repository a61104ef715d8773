/** Raw objects -> what every node compiles of them, and where the two ends of a question are. */
import { Compiler } from '../../../src/compile/compiler.ts';
import { type Address, parseAddress } from '../../../src/model/address.ts';
import { type ClusterObject, keyOf, type ObjectKey, type Pod } from '../../../src/model/cluster.ts';
import { parseObject } from '../../../src/sources/parse/object.ts';
import type { Family } from '../oracle/addresses.ts';
import type { ClusterObject as RawObject } from '../oracle/objects.ts';

/** Who holds an address: a pod with an interface of its own, a node (or a pod in its network), or nobody known. */
export type Place =
  | { readonly kind: 'pod'; readonly address: Address; readonly node: string; readonly pod: ObjectKey }
  | { readonly kind: 'node'; readonly address: Address; readonly node: string }
  | { readonly kind: 'elsewhere'; readonly address: Address };

export class TestCluster {
  readonly objects: readonly ClusterObject[];
  /** Names of all nodes, sorted. */
  readonly nodes: readonly string[];
  readonly #places = new Map<Address, Place>();

  constructor(raw: readonly RawObject[]) {
    this.objects = raw.map(slim);
    const names = this.objects.flatMap((one) => (one.kind === 'Node' ? one.name : one.kind === 'Pod' ? one.node : []));
    this.nodes = [...new Set(names.filter((name) => name !== undefined))].sort();
    for (const node of this.nodes) {
      for (const address of this.ownAddresses(node)) this.#places.set(address, { kind: 'node', address, node });
    }
    for (const pod of this.objects) {
      if (pod.kind !== 'Pod' || pod.hostNetwork || pod.finished || pod.node === undefined) continue;
      for (const address of pod.addresses) {
        this.#places.set(address, { kind: 'pod', address, node: pod.node, pod: keyOf(pod) });
      }
    }
  }

  compilerOf(node: string): Compiler {
    const compiler = new Compiler({ node });
    compiler.apply(this.objects.map((object) => ({ type: 'upsert', object })));
    return compiler;
  }

  /** Of the node itself; its pods in the host's network have no others. */
  ownAddresses(node: string): ReadonlySet<Address> {
    return new Set(
      this.objects.flatMap((one) => {
        if (one.kind === 'Node') return one.name === node ? one.addresses : [];
        return one.kind === 'Pod' && one.hostNetwork && !one.finished && one.node === node ? one.addresses : [];
      }),
    );
  }

  /** Of `NAMESPACE/POD` or an address; undefined when there is no such address in the family. */
  placeOf(end: string, family: Family): Place | undefined {
    const ofFamily = (address: Address) => address.includes(':') === (family === 'IPv6');
    const address = end.includes('/')
      ? this.addressesOf(end as ObjectKey).find(ofFamily)
      : [parseAddress(end) as Address].find(ofFamily);
    return address && (this.#places.get(address) ?? { kind: 'elsewhere', address });
  }

  /** Of a pod; none when there is no such pod. */
  addressesOf(key: ObjectKey): readonly Address[] {
    const pod = this.objects.find((one): one is Pod => one.kind === 'Pod' && keyOf(one) === key);
    if (pod === undefined || pod.finished) return [];
    return pod.hostNetwork ? [...pod.addresses, ...this.ownAddresses(pod.node as string)] : pod.addresses;
  }
}

export function slim(raw: RawObject): ClusterObject {
  const { parsed, warnings } = parseObject(raw);
  if (parsed.type !== 'object' && parsed.type !== 'pod') throw new Error(JSON.stringify({ raw, warnings }));
  return parsed.object;
}
