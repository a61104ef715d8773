/**
 * Takes the exclusive advisory lock (flock) of an open file or directory, as of bpffs. It belongs to this opening of it:
 * another opening competes for it, in this process too, and it ends when the descriptor is closed or its process ends.
 * @param fd as `node:fs` opens it @returns whether nobody else has it @throws BpfError EBADF
 */
export function tryLock(fd: number): boolean;
