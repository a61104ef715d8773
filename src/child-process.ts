/** Other programs, run from here alone: short ones to their end with their output, long-lived ones with their lines as they come. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A program could not be started or did not exit with 0. */
export class CommandError extends Error {
  readonly code = 'COMMAND_FAILED';
  /** The command line, its arguments joined by spaces. */
  readonly command: string;
  /** Absent when it could not be started or was ended by a signal. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** What it said before it failed; absent where that is not kept. */
  readonly stdout: string | undefined;

  constructor(command: string, outcome: Outcome) {
    const { exitCode, signal, stderr, cause } = outcome;
    const how = cause
      ? `could not be started (${cause.message})`
      : signal
        ? `was ended by ${signal}`
        : `exited with ${exitCode}`;
    const words = stderr.trim();
    super(`${command} ${how}${words === '' ? '' : `: ${words}`}`, { cause });
    this.name = 'CommandError';
    this.command = command;
    this.exitCode = exitCode ?? undefined;
    this.stderr = stderr;
    this.stdout = outcome.stdout;
  }
}

interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly stdout?: string;
  readonly cause?: Error | undefined;
}

export interface RunOptions {
  /** Given to the program's standard input; nothing when absent. */
  readonly input?: string;
  /** Once it has said this the rest is not waited for: what it is still at concerns nobody. */
  readonly until?: string;
}

/**
 * Runs a program to its end and gives its standard output. It is started before this returns, so inside of `netns.run`
 * it runs in that network namespace.
 * @throws {CommandError}
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(command, args, { stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    let failure: Error | undefined;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (options.until !== undefined && stdout.includes(options.until)) resolve(stdout);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A program that ends without reading its input says why by its exit code.
    child.stdin?.on('error', () => {}).end(options.input);
    child.on('error', (error) => {
      failure = error;
    });
    child.on('close', (exitCode, signal) => {
      if (exitCode === 0 && failure === undefined) resolve(stdout);
      else reject(new CommandError(lineOf(command, args), { exitCode, signal, stderr, stdout, cause: failure }));
    });
  });
}

/** The same, blocking: for the last moments of the process, when nothing can be awaited any more. */
export function runSync(command: string, args: readonly string[], options: RunOptions = {}): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    input: options.input ?? '',
    maxBuffer: 64 << 20,
  });
  if (status === 0) return stdout;
  throw new CommandError(lineOf(command, args), { exitCode: status, signal, stderr: stderr ?? '', cause: error });
}

export interface StartOptions {
  /** Every line of standard output and standard error, without its end. */
  readonly onLine: (line: string) => void;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A long-lived program. */
export interface RunningCommand {
  readonly pid: number | undefined;
  /** Resolves when it has ended, with how: `exited with 0`, `was ended by SIGKILL`, `could not be started (...)`. */
  readonly ended: Promise<string>;
  readonly running: boolean;
  /** Sends a signal; nothing happens when it has ended. */
  kill(signal: NodeJS.Signals): void;
}

/** Starts a program, before this returns: inside of `netns.run` it runs in that network namespace. */
export function start(command: string, args: readonly string[], options: StartOptions): RunningCommand {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Of a group of its own: Ctrl-C is for us, and we say when the program ends.
    detached: true,
    env: { ...process.env, ...options.env },
  });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', options.onLine);
  let running = true;
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      running = false;
      resolve(how);
    };
    child.on('error', (error) => child.pid ?? end(`could not be started (${error.message})`));
    child.on('close', (exitCode, signal) => end(signal ? `was ended by ${signal}` : `exited with ${exitCode}`));
  });
  return {
    pid: child.pid,
    ended,
    get running() {
      return running && !hasExited(child);
    },
    kill: (signal) => void child.kill(signal),
  };
}

/**
 * Calls back once nobody reads the pipe that is our standard output, which Node cannot ask the kernel: GNU tail, whose output
 * it is too, does, and ends by SIGPIPE. Where there is no such tail nobody is called.
 */
export function onReaderGone(gone: () => void): Disposable {
  const args = ['--pdeathsig', 'KILL', 'tail', '-f', '/dev/null'];
  const out = openedAnew(gone);
  if (out === undefined) return { [Symbol.dispose]: () => {} };
  const child = spawn('setpriv', args, { stdio: ['ignore', out, 'ignore'], detached: true });
  closeSync(out);
  child.on('error', () => {}).on('exit', (_, signal) => signal === 'SIGPIPE' && gone());
  child.unref();
  return { [Symbol.dispose]: () => void child.kill() };
}

/** Our own standard output given to a child would block from then on, and us with it: nobody would hear a signal any more. */
function openedAnew(gone: () => void): number | undefined {
  try {
    return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') setImmediate(gone);
    return undefined;
  }
}

/** It may have exited before its last lines have been read. */
function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function lineOf(command: string, args: readonly string[]): string {
  return [command, ...args].join(' ');
}
