/** A pod, a node or an address outside -> the network namespace that plays it, the address that it uses there, and the name by which it answers. */
import { type Address, covers, familyOf, type Prefix } from '../../model/address.ts';
import { keyOf, type ObjectKey, type Pod } from '../../model/cluster.ts';
import { commonFamilies, type End, endText, type Query } from '../../model/query.ts';
import { type LabNode, labNode } from '../agents/lab-node.ts';
import { contestedAddresses, type LabCluster, runningPods } from '../lab-cluster.ts';
import { LabError } from '../lab-error.ts';
import { type LabId, outsideNamespace, podNamespace } from '../network/names.ts';

/** Where packets come from or go to. */
export interface Station {
  /** `service`: an address that is nobody's, and is turned to a backend's. */
  readonly kind: 'pod' | 'node' | 'outside' | 'service';
  /** As in /run/netns; empty for a Service. */
  readonly namespace: string;
  readonly address: Address;
  /** `shop/web`, `node1`, `203.0.113.7`: what listeners there say when they are asked. */
  readonly name: string;
}

/** Who is where in one state of the cluster. */
export class Stations {
  readonly #lab: LabId;
  readonly #pods = new Map<ObjectKey, Pod>();
  readonly #absent: ReadonlyMap<ObjectKey, Pod>;
  readonly #nodes = new Map<string, LabNode>();
  readonly #byAddress = new Map<Address, Pod | LabNode>();
  readonly #contested: ReadonlySet<Address>;
  readonly #services: ReadonlyMap<Address, ObjectKey>;

  /** `services`: addresses that the nodes translate. */
  constructor(lab: LabId, cluster: LabCluster, services: ReadonlyMap<Address, ObjectKey> = new Map()) {
    this.#lab = lab;
    this.#services = services;
    const pods = runningPods(cluster);
    this.#contested = contestedAddresses(pods);
    for (const node of cluster.nodes) {
      const known = labNode(lab, node, pods);
      this.#nodes.set(node.name, known);
      for (const address of [
        ...known.addresses,
        ...known.gateways.flatMap((one) => (one.subnet ? [one.address] : [])),
      ]) {
        this.#byAddress.set(address, known);
      }
    }
    for (const pod of pods) {
      this.#pods.set(keyOf(pod), pod);
      if (!pod.hostNetwork) for (const address of pod.addresses) this.#byAddress.set(address, pod);
    }
    this.#absent = new Map(cluster.pods.filter((pod) => !this.#pods.has(keyOf(pod))).map((pod) => [keyOf(pod), pod]));
  }

  /** The stations of a pod or an address, one for each family that it has, IPv4 first. @throws {LabError} */
  find(end: End): readonly Station[] {
    if (end.kind === 'address') return [this.#at(end.address)];
    const pod = this.#pods.get(end.key);
    if (pod !== undefined) return this.of(pod);
    const absent = this.#absent.get(end.key);
    throw new LabError(absent === undefined ? `there is no pod ${end.key}` : `pod ${end.key} ${whyAbsent(absent)}`);
  }

  /** The two ends of a query in the family that it asks for or that both have. @throws {LabError} */
  pairOf({ from, to, family }: Pick<Query, 'from' | 'to' | 'family'>): {
    readonly from: Station;
    readonly to: Station;
  } {
    const sources = this.find(from);
    const targets = this.find(to);
    const addresses = (stations: readonly Station[]) => stations.map(({ address }) => address);
    const common = commonFamilies(addresses(sources), addresses(targets));
    const chosen = family ?? common[0];
    if (chosen === undefined || !common.includes(chosen)) {
      const ends = `${endText(from)} (${addresses(sources).join(', ')}) and ${endText(to)} (${addresses(targets).join(', ')})`;
      throw new LabError(
        family === undefined ? `${ends} have no family in common` : `${ends} do not both have ${family}`,
      );
    }
    const inFamily = ({ address }: Station) => familyOf(address) === (chosen === 'IPv4' ? 4 : 6);
    return { from: sources.find(inFamily) as Station, to: targets.find(inFamily) as Station };
  }

  /** The stations of a pod of this state. */
  of(pod: Pod): readonly Station[] {
    const node = this.#nodes.get(pod.node as string) as LabNode;
    const name = keyOf(pod);
    const addresses = pod.hostNetwork ? node.addresses : (this.#pods.get(name)?.addresses ?? []);
    return addresses
      .toSorted((a, b) => familyOf(a) - familyOf(b))
      .map((address): Station => {
        if (pod.hostNetwork) return { kind: 'node', namespace: node.namespace, address, name: node.name };
        return { kind: 'pod', namespace: podNamespace(this.#lab, node.name, name), address, name };
      });
  }

  /** Whether another pod claims an address of this one too. */
  isContested(pod: Pod): boolean {
    return !pod.hostNetwork && pod.addresses.some((address) => this.#contested.has(address));
  }

  /** Pods that run, in the order of their names. */
  get pods(): Iterable<Pod> {
    return this.#pods.values();
  }

  #at(address: Address): Station {
    if (this.#contested.has(address)) throw new LabError(`${address} is the address of several pods: ask by name`);
    const found = this.#byAddress.get(address);
    const service = this.#services.get(address);
    if (found === undefined && service !== undefined) {
      return { kind: 'service', namespace: '', address, name: `Service ${service}` };
    }
    if (found === undefined) {
      if (!isPlayable(address)) throw new LabError(`${address} is no address of a host`);
      return { kind: 'outside', namespace: outsideNamespace(this.#lab), address, name: address };
    }
    if (!('kind' in found)) return { kind: 'node', namespace: found.namespace, address, name: found.name };
    return this.of(found).find((station) => station.address === address) as Station;
  }
}

function whyAbsent(pod: Pod): string {
  if (pod.finished) return 'has finished';
  if (pod.node === undefined) return 'is on no node';
  return 'has no address yet';
}

/** Whether an address can be one of a host somewhere: not unspecified, loopback, link-local IPv6 or multicast. */
function isPlayable(address: Address): boolean {
  return !UNPLAYABLE.some((prefix) => covers(prefix, address));
}

const UNPLAYABLE = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/127',
  'fe80::/10',
  'ff00::/8',
] as readonly string[] as readonly Prefix[];
