/** The rows of the counters: an interface's stay until somebody takes them away. */
import type { BpfMap } from '../../native.ts';
import type { Abi } from './abi.ts';

/** Removes the rows of the interfaces that are gone. @throws {BpfError} */
export function removeCounts(counters: BpfMap, { codecs }: Abi, isGone: (ifindex: number) => boolean): void {
  const gone = counters.keys().filter((key) => isGone(Number(codecs.counter_key.decode(key).ifindex)));
  if (gone.length > 0) counters.deleteBatch(Buffer.concat(gone), gone.length);
}
