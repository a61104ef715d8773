/**
 * Reads a list of raw objects once into what questions need: who holds an address, what labels a namespace has,
 * which policies there are.
 */
import { type Address, type Family, formatAddress, parseAddress } from './addresses.ts';
import type { ClusterObject, Labels, NetworkPolicy, Node, Pod } from './objects.ts';

/** One end of a connection: an address, and whose it is. Neither pod nor node: somewhere outside. */
export interface End {
  readonly address: Address;
  /** The pod that holds the address, never one with hostNetwork. */
  readonly pod?: Pod;
  /** The node that holds the address, itself or through a hostNetwork pod. */
  readonly node?: string;
}

export interface Cluster {
  readonly policies: readonly NetworkPolicy[];
  namespaceLabels(name: string): Labels;
  /** `namespace/name` of a pod, or an address; undefined when it has no address of that family. */
  end(subject: string, family: Family): End | undefined;
}

export function readCluster(objects: readonly ClusterObject[]): Cluster {
  const pods = objects.filter((object) => object.kind === 'Pod');
  const nodes = objects.filter((object) => object.kind === 'Node');
  const podsByName = new Map(pods.map((pod) => [nameOf(pod), pod]));
  const podsByAddress = holders(pods.filter(hasOwnAddress));
  const nodesByAddress = nodeHolders(nodes, pods);
  const labels = new Map<string, Labels>();
  for (const object of objects) {
    if (object.kind === 'Namespace') labels.set(object.metadata.name, object.metadata.labels ?? {});
  }

  function endAt(address: Address): End {
    const key = formatAddress(address);
    const pod = podsByAddress.get(key);
    if (pod !== undefined) return { address, pod };
    const node = nodesByAddress.get(key);
    return node === undefined ? { address } : { address, node };
  }

  return {
    policies: objects.filter((object) => object.kind === 'NetworkPolicy'),

    // "The Kubernetes control plane sets an immutable label kubernetes.io/metadata.name on all namespaces. The value
    // of the label is the namespace name." A namespace that is only mentioned by its objects has just this label.
    namespaceLabels: (name) => ({ ...labels.get(name), 'kubernetes.io/metadata.name': name }),

    end(subject, family) {
      if (!subject.includes('/')) {
        const address = parseAddress(subject);
        return address.family === family ? endAt(address) : undefined;
      }
      const pod = podsByName.get(subject);
      if (pod === undefined) throw new Error(`no such pod: ${subject}`);
      // What a finished pod leaves behind is not an end of a connection: its address may have a new holder already.
      if (isFinished(pod)) return undefined;
      if (pod.spec.hostNetwork === true) return nodeEnd(pod, nodes, family);
      const address = addressesOf(pod).find((candidate) => candidate.family === family);
      return address === undefined ? undefined : endAt(address);
    },
  };
}

/** `namespace/name`; a manifest without a namespace means `default`. */
export function nameOf(object: Pod | NetworkPolicy): string {
  return `${namespaceOf(object)}/${object.metadata.name}`;
}

export function namespaceOf(object: Pod | NetworkPolicy): string {
  return object.metadata.namespace ?? 'default';
}

/** hostNetwork pods have their node's address, finished ones none any longer. */
function hasOwnAddress(pod: Pod): boolean {
  return pod.spec.hostNetwork !== true && !isFinished(pod);
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function addressesOf(pod: Pod): Address[] {
  const { podIPs, podIP } = pod.status ?? {};
  if (podIPs != null && podIPs.length > 0) return podIPs.map(({ ip }) => parseAddress(ip));
  return podIP === undefined ? [] : [parseAddress(podIP)];
}

function nodeAddresses(node: Node): Address[] {
  return (node.status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
    .map(({ address }) => parseAddress(address));
}

/** Two live pods with one address are no valid input: nobody could say whose packet it is. */
function holders(pods: readonly Pod[]): Map<string, Pod> {
  const result = new Map<string, Pod>();
  for (const pod of pods) {
    for (const address of addressesOf(pod)) {
      const key = formatAddress(address);
      const other = result.get(key);
      if (other !== undefined) throw new Error(`${key} is held by both ${nameOf(other)} and ${nameOf(pod)}`);
      result.set(key, pod);
    }
  }
  return result;
}

function nodeHolders(nodes: readonly Node[], pods: readonly Pod[]): Map<string, string> {
  const result = new Map<string, string>();
  for (const pod of pods) {
    const { hostNetwork, nodeName } = pod.spec;
    if (hostNetwork !== true || nodeName === undefined || isFinished(pod)) continue;
    for (const address of addressesOf(pod)) result.set(formatAddress(address), nodeName);
  }
  for (const node of nodes) {
    for (const address of nodeAddresses(node)) result.set(formatAddress(address), node.metadata.name);
  }
  return result;
}

/** A hostNetwork pod is its node: its own podIPs where given, the Node object's addresses otherwise. */
function nodeEnd(pod: Pod, nodes: readonly Node[], family: Family): End | undefined {
  const node = nodes.find(({ metadata }) => metadata.name === pod.spec.nodeName);
  const known = [...addressesOf(pod), ...(node === undefined ? [] : nodeAddresses(node))];
  const address = known.find((candidate) => candidate.family === family);
  if (address === undefined) return undefined;
  return pod.spec.nodeName === undefined ? { address } : { address, node: pod.spec.nodeName };
}
