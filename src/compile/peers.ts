/**
 * The peers that active policies name, each once whatever the number of rules, and the sets they stand for:
 * a pod's address → the sets it belongs in. Peers come and go with the rules; the addresses concerned are marked.
 */
import type { Address, Prefix } from '../model/address.ts';
import { Block } from '../model/block.ts';
import type { Peer, Pod, Selector } from '../model/cluster.ts';
import type { IpSet, SetId } from '../model/compiled.ts';
import { matches, selectorText } from '../model/selector.ts';
import { claimedBy } from './claims.ts';
import type { NamespaceTable, Scope } from './namespaces.ts';
import { numbersOf, type PortName, portKey } from './ports.ts';
import type { SetRecord } from './sets.ts';

interface Node {
  /** The id of its set; `anyone` has none. */
  readonly id: SetId | 'anyone';
  /** Rules that name the set itself. */
  uses: number;
  /** While it is used. */
  record: SetRecord | undefined;
  /** Named ports that egress rules look up on the pods of this peer, by `portKey`. */
  readonly names: Map<string, NamedPort>;
}

export interface PodsNode extends Node {
  readonly kind: 'pods';
  readonly scope: Scope;
  readonly selector: Selector;
}

interface BlockNode extends Node {
  readonly kind: 'ipBlock';
  readonly cidr: Prefix;
  readonly except: readonly Prefix[];
  readonly block: Block;
}

interface AnyoneNode extends Node {
  readonly kind: 'anyone';
}

export type PeerNode = PodsNode | BlockNode | AnyoneNode;

/** A named port of a peer: which pods mean which number by it. */
export interface NamedPort {
  readonly peer: PeerNode;
  readonly port: PortName;
  readonly key: string;
  uses: number;
  /** Only numbers that some pod means, once `settle` was called. */
  readonly numbers: Map<number, SetRecord>;
}

interface LiveSet {
  readonly record: SetRecord;
  readonly meaning?: { readonly named: NamedPort; readonly number: number };
}

export class PeerTable {
  readonly #namespaces: NamespaceTable;
  readonly #mark: (address: Address) => void;
  readonly #nodes = new Map<string, PeerNode>();
  readonly #live = new Map<SetId, LiveSet>();
  readonly #touched = new Set<SetId>();
  /** Named ports of blocks and of anyone, where it is not labels that choose the pods; by `portKey`. */
  readonly #byPort = new Map<string, Set<NamedPort>>();
  #lastNumber = 0;

  /** The callback is told each address whose sets may have changed. */
  constructor(namespaces: NamespaceTable, mark: (address: Address) => void) {
    this.#namespaces = namespaces;
    this.#mark = mark;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** One more rule names the peer's set. */
  use(peer: Peer, namespace: string): PeerNode {
    const node = this.#obtain(peer, namespace);
    if (++node.uses > 1) return node;
    const set = emptySet(node);
    if (set !== undefined) node.record = this.#open(set);
    if (node.kind === 'pods') this.#markPods(node);
    return node;
  }

  release(node: PeerNode): void {
    if (--node.uses > 0) return;
    if (node.record !== undefined) this.#close(node.record);
    node.record = undefined;
    this.#sweep(node);
  }

  /** One more egress rule looks a named port up on the pods of the peer; without a peer, on all. */
  useName(peer: Peer | 'anyone', namespace: string, port: PortName): NamedPort {
    const node = this.#obtain(peer, namespace);
    const key = portKey(port);
    let named = node.names.get(key);
    if (named === undefined) {
      named = { peer: node, port, key, uses: 0, numbers: new Map() };
      node.names.set(key, named);
      if (node.kind !== 'pods') this.#byPort.set(key, (this.#byPort.get(key) ?? new Set()).add(named));
      this.#markPods(node, port);
    }
    named.uses++;
    return named;
  }

  releaseName(named: NamedPort): void {
    if (--named.uses > 0) return;
    for (const record of named.numbers.values()) this.#close(record);
    named.peer.names.delete(named.key);
    const byPort = this.#byPort.get(named.key);
    if (byPort?.delete(named) && byPort.size === 0) this.#byPort.delete(named.key);
    this.#sweep(named.peer);
  }

  /** Adds to `into` the sets that the address belongs in as this pod's; may repeat one. */
  collect(pod: Pod, address: Address, into: SetRecord[]): void {
    const nodes: PodsNode[] = [];
    for (const scope of this.#namespaces.get(pod.namespace)?.scopes ?? []) scope.peers.select(pod.labels, nodes);
    for (const node of nodes) {
      if (node.record !== undefined) into.push(node.record);
      if (node.names.size === 0) continue;
      for (const port of pod.ports) {
        const named = port.name === undefined ? undefined : node.names.get(portKey(port as PortName));
        if (named !== undefined) into.push(this.#setOfNumber(named, port.port));
      }
    }
    if (this.#byPort.size > 0) this.#collectByPort(pod, address, into);
  }

  /** A set gained its first member or lost its last. */
  touch(record: SetRecord): void {
    this.#touched.add(record.id);
  }

  /**
   * Brings the published sets up to date once all marked addresses are; calls back for each that came or went.
   * Returns the named ports that gained or lost a number.
   */
  settle(published: Map<SetId, IpSet>, changed: (id: SetId) => void): Set<NamedPort> {
    const renumbered = new Set<NamedPort>();
    for (const id of this.#touched) {
      const live = this.#live.get(id);
      const meaning = live?.meaning;
      const wanted = meaning === undefined || live?.record.members.size !== 0 ? live?.record.set : undefined;
      if (meaning !== undefined && wanted === undefined) {
        meaning.named.numbers.delete(meaning.number);
        this.#live.delete(id);
      }
      if (published.get(id) === wanted) continue;
      if (wanted === undefined) published.delete(id);
      else published.set(id, wanted);
      changed(id);
      if (meaning !== undefined) renumbered.add(meaning.named);
    }
    this.#touched.clear();
    return renumbered;
  }

  #collectByPort(pod: Pod, address: Address, into: SetRecord[]): void {
    for (const port of pod.ports) {
      if (port.name === undefined) continue;
      for (const named of this.#byPort.get(portKey(port as PortName)) ?? []) {
        if (named.peer.kind === 'ipBlock' && !named.peer.block.holds(address)) continue;
        into.push(this.#setOfNumber(named, port.port));
      }
    }
  }

  #obtain(peer: Peer | 'anyone', namespace: string): PeerNode {
    if (peer === 'anyone') return this.#intern('anyone', (base) => ({ ...base, kind: 'anyone' }));
    if (peer.kind === 'ipBlock') {
      const except = canonicalExcept(peer.except);
      const { cidr } = peer;
      return this.#intern(blockId(cidr, except), (base) => {
        return { ...base, kind: 'ipBlock', cidr, except, block: new Block(cidr, except) };
      });
    }
    const scope = this.#namespaces.obtainScope(peer.namespaceSelector ?? namespace);
    const selector = peer.podSelector ?? EVERYTHING;
    return this.#intern(`pods ${scope.id}${selectorText(selector)}` as SetId, (base) => {
      const node: PodsNode = { ...base, kind: 'pods', scope, selector };
      scope.peers.add(node);
      return node;
    });
  }

  #intern(id: Node['id'], make: (base: Node) => PeerNode): PeerNode {
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = make({ id, uses: 0, record: undefined, names: new Map() });
      this.#nodes.set(id, node);
    }
    return node;
  }

  #sweep(node: PeerNode): void {
    if (node.uses > 0 || node.names.size > 0) return;
    this.#nodes.delete(node.id);
    if (node.kind !== 'pods') return;
    node.scope.peers.delete(node);
    this.#namespaces.sweepScope(node.scope);
  }

  #setOfNumber(named: NamedPort, number: number): SetRecord {
    let record = named.numbers.get(number);
    if (record === undefined) {
      const id = `named ${named.key}=${number} of ${named.peer.id}` as SetId;
      record = this.#open({ kind: 'named', id, members: new Set() }, { named, number });
      named.numbers.set(number, record);
    }
    return record;
  }

  #open(set: IpSet, meaning?: LiveSet['meaning']): SetRecord {
    const members = set.kind === 'ipBlock' ? new Set<Address>() : (set.members as Set<Address>);
    const record: SetRecord = { id: set.id, number: ++this.#lastNumber, set, members };
    this.#live.set(set.id, meaning === undefined ? { record } : { record, meaning });
    this.#touched.add(set.id);
    return record;
  }

  #close(record: SetRecord): void {
    for (const address of record.members) this.#mark(address);
    this.#live.delete(record.id);
    this.#touched.add(record.id);
  }

  /** Marks the pods that a new set or named port may be about. */
  #markPods(node: PeerNode, port?: PortName): void {
    const namespaces = node.kind === 'pods' ? node.scope.namespaces : this.#namespaces.all();
    for (const namespace of namespaces) {
      for (const pod of namespace.pods.values()) {
        if (port !== undefined && numbersOf(port, pod.ports).length === 0) continue;
        if (node.kind === 'pods' && !matches(node.selector, pod.labels)) continue;
        for (const address of claimedBy(pod)) this.#mark(address);
      }
    }
  }
}

const EVERYTHING: Selector = { requirements: [] };

function canonicalExcept(except: readonly Prefix[]): Prefix[] {
  return [...new Set(except)].sort();
}

function blockId(cidr: Prefix, except: readonly Prefix[]): SetId {
  return `ipBlock ${cidr}${except.length > 0 ? ` except ${except.join(',')}` : ''}` as SetId;
}

function emptySet(node: PeerNode): IpSet | undefined {
  const { id } = node;
  if (id === 'anyone' || node.kind === 'anyone') return undefined;
  if (node.kind === 'pods') return { kind: 'pods', id, members: new Set() };
  return { kind: 'ipBlock', id, cidr: node.cidr, except: node.except };
}
