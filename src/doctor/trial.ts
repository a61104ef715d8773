/**
 * Both data planes, tried as `auto` tries them, by a process with a network namespace and a bpffs of its own: nothing of it
 * is ever seen on the node, however it ends.
 */
import { fileURLToPath } from 'node:url';
import { type CommandError, run } from '../child-process.ts';
import { CannotKnowError } from './check.ts';

export interface Attempt {
  readonly works: boolean;
  /** How, or why not. */
  readonly words: string;
}

export interface Trial {
  readonly bpf: Attempt;
  readonly ipset: Attempt;
  readonly ringBuffer: Attempt;
  readonly lpm: Attempt;
  /** How programs are attached; absent where they cannot be. */
  readonly mode?: 'tcx' | 'clsact';
  /** Whether the programs can ask conntrack; absent where they cannot be loaded at all. */
  readonly conntrack?: boolean;
}

const PROCESS = fileURLToPath(new URL('trial-process.ts', import.meta.url));
/** A bpffs where there can be one: what is missing is told by what needs it. */
const SCRIPT = 'mount -t bpf bpf /sys/fs/bpf 2>/dev/null; exec "$@"';

/** @throws {CannotKnowError} no namespaces can be made */
export async function tryDataplanes(): Promise<Trial> {
  const command = ['--net', '--mount', 'sh', '-c', SCRIPT, 'sh', process.execPath, PROCESS];
  try {
    return JSON.parse(await run('unshare', command));
  } catch (error) {
    const words = (error as CommandError).stderr?.trim() || (error as Error).message;
    throw new CannotKnowError(`it cannot be tried in a network namespace of its own: ${words}`, { cause: error });
  }
}
