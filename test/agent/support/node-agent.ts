/** An agent of a test: a process in its node's network namespace, and what its log has said. */
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type RunningCommand, run, start } from '../../../src/child-process.ts';
import { netns } from '../../../src/native.ts';

export const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

export interface AgentOptions {
  readonly namespace: string;
  readonly node: string;
  readonly pinDir: string;
  /** Another compiled packet path. */
  readonly object?: string;
  readonly args: readonly string[];
  /** Of Node. */
  readonly flags?: readonly string[];
  /** Capabilities that it does not have, as in a container: `sys_admin`. */
  readonly without?: readonly string[];
}

/** A line of the log, and when it was read. */
export interface Said {
  readonly event?: string;
  readonly msg?: string;
  readonly at: number;
  readonly [field: string]: unknown;
}

export class NodeAgent {
  readonly said: Said[] = [];
  readonly #command: RunningCommand;
  readonly #checks = new Set<() => void>();

  constructor({ namespace, node, pinDir, object, args, flags = [], without = [] }: AgentOptions) {
    const agent = [process.execPath, ...flags, MAIN, 'agent', '--node-name', node, '--pin-dir', pinDir];
    // The default is the machine's own agent's; `args` may name another.
    agent.push('--socket', '', ...args);
    const onLine = (line: string) => {
      this.said.push({ ...parsed(line), at: performance.now() });
      for (const check of [...this.#checks]) check();
    };
    // It must not outlive a test run that is killed.
    const bounds = without.flatMap((capability) => ['--bounding-set', `-${capability}`]);
    const command = ['--pdeathsig', 'KILL', ...bounds, ...agent];
    const env = object === undefined ? {} : { SELVEDGE_BPF_OBJECT: object };
    this.#command = netns.run(namespace, () => start('setpriv', command, { onLine, env }));
    void this.#command.ended.then((how) => {
      this.said.push({ event: 'ended', msg: how, at: performance.now() });
      for (const check of [...this.#checks]) check();
    });
  }

  get pid(): number {
    return this.#command.pid ?? 0;
  }

  get running(): boolean {
    return this.#command.running;
  }

  kill(signal: NodeJS.Signals): void {
    this.#command.kill(signal);
  }

  /** @returns how it ended */
  async end(signal: NodeJS.Signals): Promise<string> {
    this.#command.kill(signal);
    return this.#command.ended;
  }

  ended(): Promise<string> {
    return this.#command.ended;
  }

  /** Resolves with the first line that fits, of those from this place on. @throws Error the agent ended before */
  until(fits: (said: Said) => boolean, from = 0): Promise<Said> {
    return new Promise((resolve, reject) => {
      let next = from;
      const check = () => {
        for (; next < this.said.length; next++) {
          const said = this.said[next] as Said;
          if (fits(said)) return finish(() => resolve(said));
          if (said.event === 'ended') return finish(() => reject(new Error(`the agent ${said.msg}:\n${this.words}`)));
        }
      };
      const finish = (end: () => void) => {
        this.#checks.delete(check);
        end();
      };
      this.#checks.add(check);
      check();
    });
  }

  ready(): Promise<Said> {
    return this.until(({ event }) => event === 'ready');
  }

  /** What is said from now on. */
  async enforced(...pods: readonly string[]): Promise<void> {
    await Promise.all(pods.map((pod) => this.until(({ msg }) => msg === `enforced for shop/${pod}`)));
  }

  get words(): string {
    return this.said.map(({ at: _at, ...said }) => JSON.stringify(said)).join('\n');
  }
}

/** Runs a command of ours to its end in a namespace. @throws {CommandError} */
export function selvedge(namespace: string, ...args: readonly string[]): Promise<string> {
  return netns.run(namespace, () => ({ output: run(process.execPath, [MAIN, ...args]) })).output;
}

let count = 0;

/** A folder in bpffs that goes with the test. */
export class PinDir implements Disposable {
  readonly path = `/sys/fs/bpf/selvedge-test-${process.pid}-agent${count++}`;
  readonly #onExit = () => this[Symbol.dispose]();

  constructor() {
    process.on('exit', this.#onExit);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    if (existsSync(this.path)) rmSync(this.path, { recursive: true, force: true });
  }
}

function parsed(line: string): Omit<Said, 'at'> {
  try {
    return JSON.parse(line);
  } catch {
    return { msg: line };
  }
}
