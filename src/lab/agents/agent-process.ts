/** One agent of a lab: a process in its node's network namespace, and what its log says about how far it is. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type RunningCommand, start } from '../../child-process.ts';
import { type DataplaneKind, KINDS } from '../../dataplane/select.ts';
import type { ObjectKey } from '../../model/cluster.ts';
import { netns } from '../../native.ts';
import { type AgentArguments, agentArguments } from './arguments.ts';

export interface AgentOptions extends AgentArguments {
  /** The node's network namespace. */
  readonly namespace: string;
  /** The script that is run with `agent` and its options: `selvedge` of this checkout when absent. */
  readonly script?: string | undefined;
}

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));

/** The last lines of an agent are told when it ends unasked. */
const REMEMBERED = 12;

/** The unit of times in /proc/PID/stat, in milliseconds. */
const TICK_MS = 10;
/** What part of the time a process must have computed to be at work: one that waits does a little too. */
const AT_WORK = 0.1;

/** Of the lines of the agent's log those that are waited for. */
const logLine = z.union([
  z.object({ event: z.literal('ready') }),
  z.object({ event: z.literal('dataplane'), dataplane: z.enum(KINDS) }),
  z.object({ event: z.literal('applied'), revision: z.string().optional(), generation: z.number() }),
  z.object({ event: z.literal('interface'), ifindex: z.number(), msg: z.string() }),
  z.object({ event: z.literal('apply-failed'), err: z.object({ message: z.string() }) }),
]);

export class AgentProcess {
  readonly node: string;
  readonly pinDir: string;
  /** Of its API. */
  readonly socket: string;
  readonly #command: RunningCommand;
  readonly #onNews: () => void;
  readonly #lines: string[] = [];
  readonly #interfaces = new Map<number, string>();
  #ready = false;
  #dataplane: DataplaneKind | undefined;
  #revision: string | undefined;
  #failure: string | undefined;
  #ended: string | undefined;
  #stopping = false;
  #heardAt = performance.now();
  #looked = { at: performance.now(), cpuMs: 0 };

  /** `onNews` is called whenever what `missing` says may have changed. */
  constructor(options: AgentOptions, onNews: () => void) {
    const { node, namespace, pinDir, socket, script = MAIN } = options;
    this.node = node;
    this.pinDir = pinDir;
    this.socket = socket;
    this.#onNews = onNews;
    // An agent must not outlive a lab that is killed: the kernel sees to it.
    const args = ['--pdeathsig', 'KILL', process.execPath, script, ...agentArguments(options)];
    this.#command = netns.run(namespace, () => start('setpriv', args, { onLine: (line) => this.#read(line) }));
    void this.#command.ended.then((how) => {
      this.#ended = how;
      onNews();
    });
  }

  /** The last lines of its log. */
  get lastWords(): string {
    return this.#lines.join('\n');
  }

  /** What enforces; undefined until the agent has said so. */
  get dataplane(): DataplaneKind | undefined {
    return this.#dataplane;
  }

  /** How it ended, with its last words; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended && `the agent of ${this.node} ${this.#ended}:\n${this.lastWords}`;
  }

  /** How it ended when nobody asked it to, after it was ready: not for something that it would meet again at its start. */
  get lost(): string | undefined {
    return this.#ready && !this.#stopping ? this.#ended : undefined;
  }

  /** When it last got on, of `performance.now()`: it said something, or has computed since this was asked before. */
  signOfLife(): number {
    const at = performance.now();
    const cpuMs = cpuMsOf(this.#command.pid);
    if (cpuMs - this.#looked.cpuMs > (at - this.#looked.at) * AT_WORK) this.#heardAt = at;
    this.#looked = { at, cpuMs };
    return this.#heardAt;
  }

  /** What keeps this node from enforcing the revision for these pods; undefined when nothing does. */
  missing(revision: string | undefined, pods: ReadonlyMap<number, ObjectKey>): string | undefined {
    if (!this.#ready || (revision !== undefined && this.#revision !== revision)) {
      const state = this.#ready ? `is at revision ${this.#revision}, not ${revision}` : 'is not ready';
      return `${this.node} ${state}${this.#failure === undefined ? '' : `: ${this.#failure}`}`;
    }
    for (const [ifindex, pod] of pods) {
      const said = this.#interfaces.get(ifindex);
      if (said !== `enforced for ${pod}`) return `${this.node} says of ${pod}: ${said ?? 'nothing yet'}`;
    }
    return undefined;
  }

  /** Ends it as a user would; by force when that takes longer than a second or two. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#command.kill('SIGTERM');
    const patience = setTimeout(() => this.#command.kill('SIGKILL'), 2_000);
    await this.#command.ended;
    clearTimeout(patience);
  }

  #read(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > REMEMBERED) this.#lines.shift();
    const parsed = logLine.safeParse(jsonOf(line));
    if (!parsed.success) return;
    const said = parsed.data;
    // Failing again and again is no progress.
    if (said.event !== 'apply-failed') this.#heardAt = performance.now();
    if (said.event === 'ready') this.#ready = true;
    else if (said.event === 'dataplane') this.#dataplane = said.dataplane;
    else if (said.event === 'interface') this.#interfaces.set(said.ifindex, said.msg);
    else if (said.event === 'apply-failed') this.#failure = said.err.message;
    else {
      this.#revision = said.revision;
      this.#failure = undefined;
    }
    this.#onNews();
  }
}

/** 0 of a process that has gone. */
function cpuMsOf(pid: number | undefined): number {
  try {
    // Behind the program's name, which may have spaces, utime and stime are fields 12 and 13.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return 0;
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
