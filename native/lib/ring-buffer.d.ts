import type { BpfMap } from './bpf-map.js';
import { Handle } from './handle.js';

/**
 * Reads a 'ringbuf' map: the kernel wakes the event loop, nothing polls. One reader per map.
 * Keeps the process alive until closed or unref'd. Closed with the map's handle.
 */
export class RingBuffer extends Handle {
  /** `onRecord` gets a copy. What it throws becomes an uncaught exception; the other records are still delivered. */
  constructor(map: BpfMap, onRecord: (record: Buffer) => void);
  /** Delivers now what is there, at most 1024 records. @returns how many */
  consume(): number;
  ref(): this;
  unref(): this;
}
