/**
 * Gives the memory that was freed in this process, but is still held by the C library, back to the kernel: buffers, and what
 * libbpf, TLS and V8's compiler once needed. Stands still meanwhile, some milliseconds. @returns whether there was any
 */
export function trimMemory(): boolean;
