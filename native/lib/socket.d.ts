export interface SocketOptions {
  readonly family: 4 | 6;
  /** 'raw' needs `protocol`, for instance 1 (ICMP) or 58 (ICMPv6). */
  readonly type: 'tcp' | 'udp' | 'raw';
  readonly protocol?: number;
  /** An address literal (with %interface for link-local IPv6); the port is 0 when absent. */
  readonly bind?: { readonly address: string; readonly port?: number };
  /** tcp: listen with this backlog. */
  readonly listen?: number;
  /** SO_REUSEADDR */
  readonly reuseAddress?: boolean;
  /** SO_REUSEPORT */
  readonly reusePort?: boolean;
  /** IPV6_V6ONLY; the system's default when absent. */
  readonly v6only?: boolean;
  /** SO_MARK */
  readonly mark?: number;
  /** SO_BINDTODEVICE: an interface name. */
  readonly device?: string;
}

export interface Datagram {
  readonly data: Buffer;
  readonly address: string;
  readonly port: number;
}

/**
 * Opens a socket in the calling thread's network namespace, in which it stays: use inside `netns.run`.
 * The fd is non-blocking and close-on-exec and belongs to the caller: give it to `server.listen({ fd })`,
 * `new net.Socket({ fd, manualStart: true }).connect(...)`, `dgramSocket.bind({ fd })` (listens before it returns:
 * no 'listening' event follows), or `close` it.
 * @throws BpfError EADDRINUSE, EADDRNOTAVAIL, EPERM ...
 */
export function open(options: SocketOptions): number;
/** Sends at once or throws (EAGAIN, ECONNREFUSED, EPERM ...); `to` unless connected. The port of a raw socket is ignored. */
export function send(fd: number, data: Uint8Array, to?: { readonly address: string; readonly port?: number }): void;
/** Waits at most `timeoutMs` milliseconds, blocking the thread. @returns undefined when nothing came */
export function receive(fd: number, timeoutMs: number): Datagram | undefined;
/** The local address and port. */
export function localAddress(fd: number): { readonly address: string; readonly port: number };
/** Closes an fd that nobody else has taken over. */
export function close(fd: number): void;
