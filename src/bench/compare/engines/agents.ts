/** Selvedge itself: the real agent on each node, with one of its data planes, its objects from the benchmark's feed. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Programs, type Variant } from '../../../dataplane/ipset/programs.ts';
import type { DataplaneKind } from '../../../dataplane/select.ts';
import { Agents } from '../../../lab/agents/agents.ts';
import { folderOf } from '../../../lab/lab-record.ts';
import { netns } from '../../../native.ts';
import type { EngineName, Sample } from '../contract.ts';
import { baseManifests, type NodeName, peerManifests, policyManifests } from '../world.ts';
import { BenchLab } from './bench-lab.ts';
import type { Engine, FedAgents } from './engine.ts';
import { Feed } from './feed.ts';
import { bpfMemory, ipsetMemory } from './kernel-memory.ts';
import { monotonicMs } from './monotonic.ts';

const SCRIPT = fileURLToPath(new URL('fed-agent.ts', import.meta.url));
/** Whose memory is told: the node of the server. */
const NODE: NodeName = 'node1';
/** Milliseconds: with 10,000 policies an agent waits for one run of iptables for minutes. */
const PATIENCE = 600_000;
/** What agents do behind a state that is in force, the second copy say, has begun by then. */
const REST_MS = 400;

export interface AgentsEngineOptions {
  readonly dataplane: DataplaneKind;
  /** Which iptables the ipset data plane is to write. */
  readonly variant?: Variant;
}

export async function openAgents(name: EngineName, { dataplane, variant }: AgentsEngineOptions): Promise<Engine> {
  const lab = await BenchLab.start();
  const closing: (() => void | Promise<void>)[] = [() => lab[Symbol.dispose]()];
  const close = async () => {
    for (const one of closing.splice(0).reverse()) await one();
  };
  try {
    if (variant !== undefined) for (const namespace of lab.nodes.values()) await leaveHint(namespace, variant);
    const socket = `${folderOf(lab.lab.id)}/feed.sock`;
    const feed = await Feed.open(socket);
    closing.push(() => feed.close());
    feed.send({ upserts: baseManifests() });
    const pinDir = lab.lab.mountBpffs();
    const agents = new Agents({ manifests: [socket], pinDir, dataplane, script: SCRIPT, patience: PATIENCE });
    closing.push(() => agents.stop());
    await agents.follow(lab.lab.interfaces());
    await agents.settled(feed.revision);
    return await AgentsEngine.make(name, { lab, feed, agents, close, dataplane });
  } catch (error) {
    await close();
    throw error;
  }
}

interface Parts {
  readonly lab: BenchLab;
  readonly feed: Feed;
  readonly agents: Agents;
  readonly close: () => Promise<void>;
  readonly dataplane: DataplaneKind;
}

class AgentsEngine implements Engine {
  readonly name: EngineName;
  readonly agents: FedAgents;
  readonly #parts: Parts;
  #policies = 0;

  /** They stand still from then on. */
  static async make(name: EngineName, parts: Parts): Promise<AgentsEngine> {
    const engine = new AgentsEngine(name, parts);
    await engine.agents.awake(() => wait(REST_MS));
    return engine;
  }

  private constructor(name: EngineName, parts: Parts) {
    this.name = name;
    this.#parts = parts;
    const { feed, agents } = parts;
    this.agents = {
      feed,
      settled: (signal) => agents.settled(feed.revision, signal),
      calm: (signal) => this.#calm(signal),
      awake: async (work) => {
        this.#signal('SIGCONT');
        try {
          return await work();
        } finally {
          this.#signal('SIGSTOP');
        }
      },
    };
  }

  ends: Engine['ends'] = (topology, traffic) => this.#parts.lab.ends(topology, traffic);

  load(policies: number, signal: AbortSignal): Promise<number | undefined> {
    return this.agents.awake(async () => {
      const took = await this.#load(policies, signal);
      await this.#calm(signal);
      await wait(REST_MS);
      return took;
    });
  }

  async #load(policies: number, signal: AbortSignal): Promise<number | undefined> {
    const { feed } = this.#parts;
    if (this.#policies > 0) {
      feed.send({ deletes: [...policyManifests(this.#policies), ...peerManifests(this.#policies)] });
      this.#policies = 0;
      await this.agents.settled(signal);
    }
    if (policies === 0) return undefined;
    feed.send({ upserts: peerManifests(policies) });
    await this.agents.settled(signal);
    const manifests = policyManifests(policies);
    this.#policies = policies;
    const { at } = feed.send({ upserts: manifests });
    await this.agents.settled(signal);
    return monotonicMs() - at;
  }

  async memory(): Promise<Sample> {
    const { lab, feed, agents, dataplane } = this.#parts;
    const namespace = lab.nodes.get(NODE) ?? '';
    const pid = feed.pidOf(NODE);
    const kernel = dataplane === 'bpf' ? bpfMemory(agents.pinDirOf(namespace)) : await ipsetMemory(namespace);
    return { 'kernel-memory': kernel / 1e6, ...(pid !== undefined && { 'agent-memory': residentOf(pid) / 1e6 }) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#signal('SIGCONT');
    return this.#parts.close();
  }

  /** A change that changes nothing: it is through when all is that agents do behind the state before. */
  async #calm(signal: AbortSignal): Promise<void> {
    // What was due while they stood still begins at once.
    await wait(REST_MS, undefined, { signal });
    this.#parts.feed.send({});
    await this.agents.settled(signal);
  }

  #signal(signal: 'SIGCONT' | 'SIGSTOP'): void {
    const { lab, feed } = this.#parts;
    for (const node of lab.nodes.keys()) {
      const pid = feed.pidOf(node);
      if (pid !== undefined) sendSignal(pid, signal);
    }
  }
}

/** What kubelet leaves in the variant that a node uses, by which the ipset data plane chooses its own. */
async function leaveHint(namespace: string, variant: Variant): Promise<void> {
  const programs = new Programs({ variant, within: (start) => netns.run(namespace, start) });
  await programs.restoreRules(4, '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n');
}

/** One that has gone meanwhile is missed by whoever waits for it. */
function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Bytes. */
function residentOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}
