import { Handle } from './handle.js';

export interface PacketSocketOptions {
  /** Of the calling thread's network namespace. */
  readonly ifindex: number;
  /** Every frame that arrives, as an event; then `receive` has nothing. Keeps the process alive until unref'd. */
  readonly onFrame?: (frame: Frame) => void;
  /** EtherType to receive; all (0x0003) when absent. */
  readonly protocol?: number;
  /** Also frames for other stations. */
  readonly promiscuous?: boolean;
  /** PACKET_VNET_HDR: frames sent and received begin with a struct virtio_net_hdr of 10 bytes (GSO, checksums). */
  readonly vnetHeader?: boolean;
  /** PACKET_QDISC_BYPASS: send without queueing and without the egress tc hook. */
  readonly bypassQdisc?: boolean;
}

export interface Frame {
  /** From the Ethernet header on, a VLAN tag that the kernel took out of it not included. */
  readonly data: Buffer;
  readonly packetType: 'host' | 'broadcast' | 'multicast' | 'otherhost' | 'outgoing' | 'unknown';
  /** The tag that the kernel took out: tci and tpid. */
  readonly vlan?: { readonly tci: number; readonly tpid: number };
}

/** Frames as they are on one interface (AF_PACKET, SOCK_RAW). */
export class PacketSocket extends Handle {
  constructor(options: PacketSocketOptions);
  /** Sends at once or throws BpfError (EAGAIN, ENETDOWN, EMSGSIZE, ENOBUFS). */
  send(frame: Uint8Array): void;
  /** Waits at most `timeoutMs` milliseconds, blocking the thread. @returns undefined when nothing came */
  receive(timeoutMs: number): Frame | undefined;
  ref(): this;
  unref(): this;
}
