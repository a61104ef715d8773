import { Handle } from './handle.js';

export interface NflogReaderOptions {
  /** Of the calling thread's network namespace; each has one reader at most. */
  readonly group: number;
  readonly onPacket: (packet: NflogPacket) => void;
  /** Of each packet, from its network header on; 128 when absent. A rule may ask for less (`--nflog-size`). */
  readonly bytes?: number;
  /** Bytes of socket buffer; the system's default when absent. */
  readonly receiveBuffer?: number;
}

export interface NflogPacket {
  /** Of the rule: AF_INET (2), AF_INET6 (10), AF_BRIDGE (7). */
  readonly family: number;
  readonly ethertype: number;
  /** NF_INET_* or NF_BR_*: prerouting 0, input 1, forward 2, output 3, postrouting 4. */
  readonly hook: number;
  /** As the rule gives it, at most 127 bytes (63 with iptables); '' where it gives none. */
  readonly prefix: string;
  /** The packet's beginning, from its network header on. */
  readonly payload: Buffer;
  readonly mark: number;
  /** Packets between the one before and this one that had no room. */
  readonly lost: number;
  /** Indexes of interfaces, where the hook knows them. */
  readonly input?: number;
  readonly output?: number;
  /** Behind `input` and `output` where these are bridges: the port. */
  readonly inputPort?: number;
  readonly outputPort?: number;
}

/**
 * Reads what rules send to a group (`-j NFLOG --nflog-group`, nft's `log group`). The kernel hands packets out 32 at a
 * time or after 50 ms. Keeps the process alive until closed or unref'd. What `onPacket` throws becomes an uncaught exception.
 */
export class NflogReader extends Handle {
  /** @throws BpfError EPERM: somebody else reads the group, or CAP_NET_ADMIN is missing */
  constructor(options: NflogReaderOptions);
  ref(): this;
  unref(): this;
}
