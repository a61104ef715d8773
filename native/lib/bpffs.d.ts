/** Whether a path lies in a mounted bpffs, where things can be pinned. False where there is no such path. */
export function isBpffs(path: string): boolean;
/** Mounts a bpffs on a directory (made if missing) unless one is there. @returns whether it had to. @throws BpfError EPERM */
export function mountBpffs(path: string): boolean;
