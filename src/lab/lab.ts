/**
 * A cluster that is played on this machine: its nodes and pods as network namespaces with real listeners, and questions
 * to it by real connections. What may pass is not the lab's business: see Enforcer.
 */
import { type Address, familyOf } from '../model/address.ts';
import { keyOf, type ObjectKey, type Protocol } from '../model/cluster.ts';
import type { Query } from '../model/query.ts';
import { BpfError, netlink, netns } from '../native.ts';
import { OUTSIDE } from '../observe/matrix.ts';
import { inParallel } from './in-parallel.ts';
import type { LabCluster } from './lab-cluster.ts';
import { LabError } from './lab-error.ts';
import { claimLab, mountLabBpffs, removeLab } from './lab-record.ts';
import { CniWiring } from './network/cni-wiring.ts';
import { type LabId, podInterface } from './network/names.ts';
import { Network, type NetworkChange } from './network/network.ts';
import { planNetwork } from './network/network-plan.ts';
import { type Backend, podMtu } from './network/node-plan.ts';
import { NodeServices } from './network/node-services.ts';
import { serviceAddresses, translated, withoutHostPorts } from './network/service-ports.ts';
import { Listeners } from './probing/listeners.ts';
import { probe } from './probing/probe.ts';
import type { Probe, ProbeOutcome } from './probing/probe-attempt.ts';
import { type Station, Stations } from './probing/station.ts';

export interface LabOptions {
  readonly cluster: LabCluster;
  readonly backend: Backend;
  /** Whether the nodes translate the cluster's Services and host ports; default false. */
  readonly services?: boolean;
  /** Whether pods are wired by real CNI plugins, as on a Flannel node, which then translate host ports; default false. */
  readonly cni?: boolean;
}

export interface NodeInterfaces {
  readonly node: string;
  readonly namespace: string;
  /** Of the namespace: another one of the same name has another. */
  readonly inode: number;
  /** By ifindex in the node's namespace. */
  readonly pods: ReadonlyMap<number, ObjectKey>;
}

/** Probes at a time; each has up to three sockets open. */
const PROBES = 512;

export class Lab {
  readonly id: LabId;
  readonly #backend: Backend;
  readonly #network = new Network();
  readonly #services: NodeServices | undefined;
  readonly #cni: CniWiring | undefined;
  readonly #listeners = new Listeners();
  readonly #outside = new Set<Address>(Object.values(OUTSIDE));
  #cluster: LabCluster;
  #stations: Stations;
  /** One change or round of probes at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;
  readonly #onExit = () => this.close();

  private constructor(options: LabOptions) {
    this.id = claimLab();
    this.#backend = options.backend;
    this.#services = options.services ? new NodeServices() : undefined;
    this.#cni = options.cni ? new CniWiring(this.id) : undefined;
    this.#cluster = options.cluster;
    this.#stations = new Stations(this.id, options.cluster);
    process.on('exit', this.#onExit);
  }

  /** @throws {LabError | CommandError} nothing is left behind */
  static async start(options: LabOptions): Promise<Lab> {
    const lab = new Lab(options);
    try {
      await lab.update(options.cluster);
      return lab;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /** Follows the cluster: pods and nodes that came, went or changed. @returns the namespaces that were made and removed */
  update(cluster: LabCluster): Promise<NetworkChange> {
    return this.#inTurn(async () => {
      const { nodes, pods } = cluster;
      const played = this.#services ? cluster : { nodes, pods };
      const change = await this.#build(played, this.#outside);
      this.#cluster = played;
      for (const pod of this.#stations.pods) {
        for (const { protocol, port } of pod.ports) {
          for (const station of this.#stations.of(pod)) await this.#listen(station, protocol, port);
        }
      }
      return change;
    });
  }

  /** Where everybody is. */
  get stations(): Stations {
    return this.#stations;
  }

  /** The host's ends of the pods' veths as the nodes know them: what an agent has to find. Not of pods that share an address. */
  interfaces(): readonly NodeInterfaces[] {
    const plans = [...this.#network.plans];
    const contested = new Set([...this.#stations.pods].filter((pod) => this.#stations.isContested(pod)).map(keyOf));
    return plans.flatMap(({ name: namespace, place }) => {
      if (place.kind !== 'node') return [];
      const indexes = new Map(netns.run(namespace, () => netlink.links()).map((link) => [link.name, link.ifindex]));
      const pods = plans.flatMap(({ name, place: other }): [number, ObjectKey][] => {
        if (other.kind !== 'pod' || other.node !== place.node || contested.has(other.pod)) return [];
        return [[indexes.get(this.#cni?.portOf(name) ?? podInterface(name)) ?? 0, other.pod]];
      });
      return [{ node: place.node, namespace, inode: netns.inode(namespace), pods: new Map(pods) }];
    });
  }

  /** The wire, outside, nodes and pods that are in place. */
  get namespaces() {
    return this.#network.plans;
  }

  /** Asks all, side by side; the outcomes are in the queries' order. Never rejects for what one query asks. */
  probeAll(queries: readonly Query[]): Promise<readonly ProbeOutcome[]> {
    return this.#inTurn(async () => {
      const questions = queries.map((query) => this.#questionOf(query));
      await this.#play(questions.flatMap((one) => ('reason' in one ? [] : [one.from, one.to])));
      // All listeners before the first client, whose port could be one of theirs.
      const ready = await inParallel(questions, 1, (one) => this.#prepare(one));
      return inParallel(ready, PROBES, async (one) => ('reason' in one ? one : verified(one, await probe(one))));
    });
  }

  /** A bpffs that goes with the lab. @returns where it is mounted */
  mountBpffs(): string {
    return mountLabBpffs(this.id);
  }

  /** Ends everything, blocking. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#onExit);
    this.#listeners.close();
    this.#network.close();
    removeLab(this.id);
  }

  async #build(cluster: LabCluster, outside: ReadonlySet<Address>): Promise<NetworkChange> {
    const cabled = planNetwork(this.id, cluster, this.#backend, [...outside]);
    const plans = this.#cni?.plans(cabled, cluster) ?? cabled;
    const { removed } = this.#network.compare(plans);
    this.#listeners.closeIn(new Set(removed.map(({ name }) => name)));
    await this.#cni?.remove(removed);
    const change = await this.#network.apply(plans);
    await this.#cni?.add(plans, cluster, podMtu({ backend: this.#backend, nodes: cluster.nodes }));
    await this.#services?.apply(this.#cni === undefined ? cluster : withoutHostPorts(cluster), plans);
    this.#stations = new Stations(this.id, cluster, this.#services && serviceAddresses(cluster));
    return change;
  }

  #questionOf(query: Query): Question | Failure {
    const { port, protocol } = query;
    try {
      const { from, to } = this.#stations.pairOf(query);
      if (from.kind === 'service')
        throw new LabError(`${from.address} is an address of ${from.name}: nobody asks from it`);
      return { from, to, port, protocol, answering: this.#answering(to, protocol, port) };
    } catch (error) {
      if (error instanceof LabError) return failure(error.message);
      throw error;
    }
  }

  /** Who may answer there, and on which port: whoever has the address, or the backends that it is turned to. */
  #answering(to: Station, protocol: Protocol, port: number): Question['answering'] {
    const node = to.kind === 'node' ? to.name : undefined;
    const wanted = { address: to.address, port, protocol, ...(node !== undefined && { node }) };
    const turned = (this.#services || this.#cni) && to.kind !== 'pod' ? translated(this.#cluster, wanted) : undefined;
    if (turned === undefined && to.kind === 'service') throw new LabError(`${to.name} has no port ${port}/${protocol}`);
    if (turned === undefined) return [{ station: to, port }];
    if (turned.length === 0) throw new LabError(`no pod is behind ${to.name} port ${port}`);
    if (protocol === 'SCTP') throw new LabError('over SCTP Services are not tried');
    return turned.map((backend) => {
      const family = familyOf(backend.address) === 4 ? 'IPv4' : 'IPv6';
      const end = { kind: 'pod', key: backend.pod } as const;
      return { station: this.#stations.pairOf({ from: end, to: end, family }).to, port: backend.port };
    });
  }

  /** Gives the namespace outside the addresses that it is to play. */
  async #play(stations: readonly Station[]): Promise<void> {
    const wanted = stations.filter(({ kind }) => kind === 'outside').map(({ address }) => address);
    const missing = wanted.filter((address) => !this.#outside.has(address));
    if (missing.length === 0) return;
    for (const address of missing) this.#outside.add(address);
    await this.#build(this.#cluster, this.#outside);
  }

  async #prepare(question: Question | Failure): Promise<Question | Failure> {
    if ('reason' in question) return question;
    for (const { station, port } of question.answering) {
      try {
        await this.#listen(station, question.protocol, port);
      } catch (error) {
        return failure(`no listener on ${station.name} port ${port}: ${(error as Error).message}`);
      }
    }
    return question;
  }

  /** A client may hold the port for a moment: its kernel chose it for another probe. For SCTP there is nothing to open. */
  async #listen(station: Station, protocol: Protocol, port: number): Promise<void> {
    if (protocol === 'SCTP') return;
    for (let attempt = 1; ; attempt++) {
      try {
        return this.#listeners.ensure(station, protocol, port);
      } catch (error) {
        if (attempt === 5 || !(error instanceof BpfError && error.code === 'EADDRINUSE')) throw error;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      if (this.#closed) throw new LabError('the lab is closed');
      return step();
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

interface Question extends Probe {
  readonly answering: readonly { readonly station: Station; readonly port: number }[];
}

type Failure = Extract<ProbeOutcome, { verdict: 'error' }>;

function failure(reason: string): Failure {
  return { verdict: 'error', reason };
}

/** An answer from somebody else means that the network is not as planned: that is no verdict. */
function verified({ to, answering }: Question, outcome: ProbeOutcome): ProbeOutcome {
  if (outcome.verdict !== 'allow' || outcome.answeredBy === undefined) return outcome;
  if (answering.some(({ station }) => station.name === outcome.answeredBy)) return outcome;
  return failure(`${outcome.answeredBy} answered for ${to.name} at ${to.address}`);
}
