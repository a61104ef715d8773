/** The agents of a lab's nodes, one process each: started and ended as nodes come and go. */
import type { DataplaneChoice, DataplaneKind } from '../dataplane/select.ts';
import { AgentProcess } from './agent-process.ts';
import type { Enforcer } from './enforcer.ts';
import type { NodeInterfaces } from './lab.ts';
import { LabError } from './lab-error.ts';

export interface AgentsOptions {
  readonly manifests: readonly string[];
  /** In a bpffs; each node has a folder in it. */
  readonly pinDir: string;
  /** What the agents are asked for; `auto` when absent. */
  readonly dataplane?: DataplaneChoice;
  /** See AgentOptions. */
  readonly script?: string;
  /** How long `settled` waits, in milliseconds. */
  readonly patience?: number;
}

const PATIENCE = 20_000;

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
      const { manifests, pinDir, script, dataplane = 'auto' } = this.#options;
      // Pins belong to the namespace: a node that is made anew starts with none. bpffs allows no dots.
      const pins = `${pinDir}/${node.replaceAll('.', '_')}-${inode}`;
      const options = { node, namespace, manifests, script, dataplane, pinDir: pins };
      this.#agents.set(namespace, { inode, agent: new AgentProcess(options, () => this.#wake()) });
    }
  }

  settled(revision: string | undefined, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (end: () => void) => {
        clearTimeout(patience);
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
      const tooLong = () => finish(() => reject(new LabError(`policies are not in force: ${this.#missing(revision)}`)));
      const patience = setTimeout(tooLong, this.#options.patience ?? PATIENCE);
      this.#waiting.add(check);
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort);
      check();
    });
  }

  /** Where the agent of a node pins. @throws {LabError} it has none */
  pinDirOf(namespace: string): string {
    const pinDir = this.#agents.get(namespace)?.agent.pinDir;
    if (pinDir === undefined) throw new LabError(`no agent runs in ${namespace}`);
    return pinDir;
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
