/** Which Linux this is, against what kernels got when. */
import { release } from 'node:os';

export type KernelVersion = readonly [major: number, minor: number];

/** The programs exchange words atomically, to put connections into their tables. */
export const OLDEST_FOR_BPF: KernelVersion = [5, 12];

/** Before, each look-up in a map of maps waits for a grace period, of an empty place too: minutes for thousands of places. */
export const LISTS_MAPS_OF_MAPS: KernelVersion = [6, 8];

/** @param text as `uname -r` has it; of something else nothing is known, and it is taken for new */
export function isKernelSince([major, minor]: KernelVersion, text = release()): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  if (first === undefined) return true;
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}

/** The refusal of a kernel that is too old in words that say so; any other error as it is. */
export function explainOldKernel(error: unknown, text = release()): unknown {
  if (isKernelSince(OLDEST_FOR_BPF, text)) return error;
  const [first] = (error as Error).message.split('\n', 1);
  return new OldKernelError(
    `Linux ${text} is older than ${OLDEST_FOR_BPF.join('.')}, which the programs need for atomic exchanges: ${first}`,
    { cause: error },
  );
}

export class OldKernelError extends Error {
  readonly code = 'OLD_KERNEL';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OldKernelError';
  }
}
