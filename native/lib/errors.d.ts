/** The kernel, or libbpf on its behalf, refused an operation. Every kernel failure of this package is one of these. */
export class BpfError extends Error {
  readonly name: 'BpfError';
  /** Name of the error number: 'EPERM', 'ENOENT', 'E2BIG', 'ENOTSUPP' ... */
  readonly code: string;
  /** The positive error number. */
  readonly errno: number;
  /**
   * What was asked: a bpf command ('BPF_MAP_UPDATE_ELEM'), a system call ('setns'), a netlink message
   * ('RTM_GETLINK'), or the libbpf function that issues several of them ('bpf_object__load').
   */
  readonly syscall: string;
  /** What libbpf and the verifier had to say: set by `BpfObject.open` and `BpfObject.load`. */
  readonly log?: string;
}

/** A method was called on a handle after its `close()` (or that of the handle that owns it). */
export class ClosedError extends Error {
  readonly name: 'ClosedError';
  readonly code: 'ERR_CLOSED';
}
