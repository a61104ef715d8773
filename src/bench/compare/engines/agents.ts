/** Selvedge itself: the real agent on each node, with one of its data planes, its objects from the benchmark's feed. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Programs, type Variant } from '../../../dataplane/ipset/programs.ts';
import type { DataplaneKind } from '../../../dataplane/select.ts';
import { Agents } from '../../../lab/agents.ts';
import { folderOf } from '../../../lab/lab-record.ts';
import { netns } from '../../../native.ts';
import type { EngineName, Sample } from '../contract.ts';
import { baseManifests, type NodeName, peerManifests, policyManifests } from '../world.ts';
import { BenchLab } from './bench-lab.ts';
import type { Engine } from './engine.ts';
import { Feed } from './feed.ts';
import { bpfMemory, ipsetMemory } from './kernel-memory.ts';
import { monotonicMs } from './monotonic.ts';

const SCRIPT = fileURLToPath(new URL('fed-agent.ts', import.meta.url));
/** Whose memory is told: the node of the server. */
const NODE: NodeName = 'node1';
/** Milliseconds; an agent with 10,000 policies is at work for long. */
const PATIENCE = 60_000;

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
    return new AgentsEngine(name, { lab, feed, agents, close, dataplane });
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
  readonly agents: NonNullable<Engine['agents']>;
  readonly #parts: Parts;
  #policies = 0;

  constructor(name: EngineName, parts: Parts) {
    this.name = name;
    this.#parts = parts;
    const { feed, agents } = parts;
    this.agents = { feed, settled: (signal) => agents.settled(feed.revision, signal) };
  }

  ends: Engine['ends'] = (topology, traffic) => this.#parts.lab.ends(topology, traffic);

  async load(policies: number, signal: AbortSignal): Promise<number | undefined> {
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
    const { at } = feed.send({ upserts: manifests });
    this.#policies = policies;
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
    return this.#parts.close();
  }
}

/** What kubelet leaves in the variant that a node uses, by which the ipset data plane chooses its own. */
async function leaveHint(namespace: string, variant: Variant): Promise<void> {
  const programs = new Programs({ variant, within: (start) => netns.run(namespace, start) });
  await programs.restoreRules(4, '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n');
}

/** Bytes. */
function residentOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}
