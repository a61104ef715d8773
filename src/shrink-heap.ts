/** One whole collection, which gives memory back: for the moment after a start, whose garbage would stay for hours. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from './native.ts';

/** Stands still meanwhile, about a millisecond for each megabyte in use. */
export function shrinkHeap(): void {
  // The function is in contexts that are made while the flag is set, and in no others.
  setFlagsFromString('--expose-gc');
  const collect: (options: { type: 'major' }) => void = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  // Not as a last resort, which would throw the compiled code away as well.
  collect({ type: 'major' });
  // What is not V8's: buffers of the lists, the loading of programs, what garbage held outside of the heap.
  trimMemory();
}
