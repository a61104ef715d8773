/** A program -> what it printed; ended by its pid when the caller gives up or it runs too long. */
import { type RunningCommand, start } from '../../../child-process.ts';
import { LoadError } from './load-error.ts';

export interface BoundedRun {
  /** For messages: the load, and between whom. */
  readonly what: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Seconds after which it is ended. */
  readonly limit: number;
  readonly signal: AbortSignal;
  /** Starts it elsewhere, as in a network namespace. */
  readonly within?: <T>(start: () => T) => T;
  /** Told each line as it comes. */
  readonly onLine?: (line: string) => void;
}

/** Programs that run now. */
export class Runs implements AsyncDisposable {
  readonly #running = new Set<RunningCommand>();

  /**
   * @returns all lines, of standard output and standard error
   * @throws {LoadError} it could not be started, failed, or had to be ended; what it said is in the message
   */
  async run({ what, program, args, limit, signal, within = (begin) => begin(), onLine }: BoundedRun): Promise<string> {
    signal.throwIfAborted();
    const lines: string[] = [];
    const command = within(() =>
      start(program, args, {
        onLine: (line) => {
          lines.push(line);
          onLine?.(line);
        },
      }),
    );
    this.#running.add(command);
    const end = () => command.kill('SIGKILL');
    signal.addEventListener('abort', end);
    using timer = endAfter(limit, end);
    try {
      const how = await command.ended;
      signal.throwIfAborted();
      if (timer.ended) throw new LoadError(`${what}: ${program} has not ended within ${limit} s`);
      const text = lines.join('\n');
      if (how !== 'exited with 0') throw new LoadError(`${what}: ${text === '' ? `${program} ${how}` : text}`);
      return text;
    } finally {
      signal.removeEventListener('abort', end);
      this.#running.delete(command);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = [...this.#running];
    for (const command of running) command.kill('SIGKILL');
    await Promise.all(running.map(({ ended }) => ended));
  }
}

function endAfter(seconds: number, end: () => void): Disposable & { readonly ended: boolean } {
  let ended = false;
  const timer = setTimeout(() => {
    ended = true;
    end();
  }, seconds * 1000);
  return {
    get ended() {
      return ended;
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
