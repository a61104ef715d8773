/** The agents of a lab's nodes, one process each: started and ended as nodes come and go. */
import { dirname } from 'node:path';
import type { DataplaneChoice, DataplaneKind } from '../../dataplane/select.ts';
import type { NodeInterfaces } from '../lab.ts';
import { LabError } from '../lab-error.ts';
import { AgentProcess } from './agent-process.ts';
import type { Enforcer } from './enforcer.ts';

export interface AgentsOptions {
  readonly manifests: readonly string[];
  /** In a bpffs; each node has a folder in it. */
  readonly pinDir: string;
  /** What the agents are asked for; `auto` when absent. */
  readonly dataplane?: DataplaneChoice;
  /** See AgentOptions. */
  readonly script?: string;
  /** How long `settled` waits for agents that give no sign of life, in milliseconds; six times that for those that do. */
  readonly patience?: number;
  /** Told of an agent that ended unasked although it was ready; such a one is started again at once. Absent: when `follow` is called next. */
  readonly onLost?: (message: string) => void;
}

const PATIENCE = 20_000;
/** Of the patience for an agent that is silent: one with many thousands of ipBlocks computes for long. */
const AT_MOST = 6;

export class Agents implements Enforcer {
  readonly #options: AgentsOptions;
  /** By namespace: a node that was made anew needs another agent. */
  readonly #agents = new Map<string, { readonly inode: number; readonly agent: AgentProcess }>();
  readonly #waiting = new Set<() => void>();
  #nodes: readonly NodeInterfaces[] = [];

  constructor(options: AgentsOptions) {
    this.#options = options;
  }

  async follow(nodes: readonly NodeInterfaces[]): Promise<void> {
    this.#nodes = nodes;
    const inodes = new Map(nodes.map(({ namespace, inode }) => [namespace, inode]));
    const gone = [...this.#agents].filter(([namespace, { inode, agent }]) => {
      return inodes.get(namespace) !== inode || agent.ended !== undefined;
    });
    await Promise.all(gone.map(([, { agent }]) => agent.stop()));
    for (const [namespace] of gone) this.#agents.delete(namespace);
    for (const { node, namespace, inode } of nodes) {
      if (this.#agents.has(namespace)) continue;
      this.#start({ node, namespace, inode });
    }
  }

  #start({ node, namespace, inode }: Omit<NodeInterfaces, 'pods'>): void {
    const { manifests, pinDir, script, dataplane = 'auto' } = this.#options;
    // Pins belong to the namespace: a node that is made anew starts with none. bpffs allows no dots.
    const pins = `${pinDir}/${node.replaceAll('.', '_')}-${inode}`;
    // Beside the bpffs, in the lab's folder, and short: a socket's path has 107 bytes at most.
    const socket = `${dirname(pinDir)}/${node.slice(0, 40)}-${inode}.sock`;
    const options = { node, namespace, manifests, script, dataplane, pinDir: pins, socket };
    const agent = new AgentProcess(options, () => {
      if (agent.lost !== undefined) this.#replace(agent, { node, namespace, inode });
      this.#wake();
    });
    this.#agents.set(namespace, { inode, agent });
  }

  #replace(agent: AgentProcess, place: Omit<NodeInterfaces, 'pods'>): void {
    const { onLost } = this.#options;
    if (onLost === undefined || this.#agents.get(place.namespace)?.agent !== agent) return;
    const lost = `the agent of ${place.node} ${agent.lost}; what it put in force stays`;
    try {
      this.#start(place);
      onLost(`${lost}; started again`);
    } catch (error) {
      onLost(`${lost}; it cannot be started again: ${(error as Error).message}`);
    }
  }

  settled(revision: string | undefined, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (end: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        signal?.removeEventListener('abort', abort);
        end();
      };
      const abort = () => finish(() => reject(signal?.reason));
      const check = () => {
        const dead = this.#ended();
        if (dead !== undefined) finish(() => reject(new LabError(dead)));
        else if (this.#missing(revision) === undefined) finish(resolve);
      };
      const patience = this.#options.patience ?? PATIENCE;
      const last = performance.now() + patience * AT_MOST;
      const look = () => {
        const left = Math.min(this.#signOfLife(revision) + patience, last) - performance.now();
        if (left > 0) timer = setTimeout(look, left);
        else finish(() => reject(new LabError(`policies are not in force: ${this.#missing(revision)}`)));
      };
      this.#signOfLife(revision);
      let timer = setTimeout(look, patience);
      this.#waiting.add(check);
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort);
      check();
    });
  }

  /** Of the agent's API. @throws {LabError} the node has none */
  socketOf(namespace: string): string {
    return this.#agentOf(namespace).socket;
  }

  /** Where the agent of a node pins. @throws {LabError} it has none */
  pinDirOf(namespace: string): string {
    return this.#agentOf(namespace).pinDir;
  }

  #agentOf(namespace: string): AgentProcess {
    const agent = this.#agents.get(namespace)?.agent;
    if (agent === undefined) throw new LabError(`no agent runs in ${namespace}`);
    return agent;
  }

  /** What the agent of a node enforces with; undefined until it has said so. @throws {LabError} it has none */
  dataplaneOf(namespace: string): DataplaneKind | undefined {
    const agent = this.#agents.get(namespace)?.agent;
    if (agent === undefined) throw new LabError(`no agent runs in ${namespace}`);
    return agent.dataplane;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#agents.values()].map(({ agent }) => agent.stop()));
    this.#agents.clear();
    this.#nodes = [];
  }

  /** Of those that are waited for, the last. */
  #signOfLife(revision: string | undefined): number {
    const lagging = this.#nodes.flatMap(({ namespace, pods }) => {
      const agent = this.#agents.get(namespace)?.agent;
      return agent?.missing(revision, pods) === undefined ? [] : [agent.signOfLife()];
    });
    return Math.max(0, ...lagging);
  }

  #missing(revision: string | undefined): string | undefined {
    for (const { namespace, pods } of this.#nodes) {
      const agent = this.#agents.get(namespace)?.agent;
      const missing = agent?.missing(revision, pods);
      if (missing !== undefined) return [missing, agent?.lastWords].join('\n').trim();
    }
    return undefined;
  }

  #ended(): string | undefined {
    return [...this.#agents.values()].find(({ agent }) => agent.ended !== undefined)?.agent.ended;
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }
}
