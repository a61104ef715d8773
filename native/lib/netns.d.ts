/**
 * Runs `fn` with the calling thread in another network namespace (a name in /run/netns, or a path), then goes back.
 * `fn` is synchronous: returning a promise is a TypeError. What it opens (sockets, watches, tc links) stays in there.
 * If the way back fails the process aborts: nothing may run in the wrong namespace.
 * @throws BpfError ENOENT, EPERM; whatever `fn` throws
 */
export function run<T>(nameOrPath: string, fn: () => T): T;
/** Moves the calling thread for good: for a worker thread. (libuv's pool threads, DNS and fs, stay where they are.) */
export function enter(nameOrPath: string): void;
/** A name's path; paths (anything with a slash) are given back. */
export function pathOf(nameOrPath: string): string;
/** Inode of a namespace, the caller's when absent: equal means the same namespace. */
export function inode(nameOrPath?: string): number;
