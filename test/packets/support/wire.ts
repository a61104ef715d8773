/** Frames between two members of the bridge; what is in them comes byte by byte from the packet path's builders. */
import { address, type Ipv4Header, type Ipv6Header, ipv4Packet, ipv6Packet } from '../../bpf/support/frames.ts';
import type { Family, Member } from './cast.ts';

export const ETHERTYPES = { 4: 0x0800, 6: 0x86dd } as const;
const ARP = 0x0806;

export interface Ends {
  readonly from: Member;
  readonly to: Member;
}

/** Payload by EtherType, from one member's hardware address to another's. Tags: EtherType and id, outermost first. */
export function frameOf({ from, to }: Ends, ethertype: number, payload: Uint8Array, tags: readonly Tag[] = []): Buffer {
  return Buffer.concat([
    hex(to.mac),
    hex(from.mac),
    ...tags.map(([type, id]) => u16(type, id)),
    u16(ethertype),
    payload,
  ]);
}
export type Tag = readonly [ethertype: number, id: number];

export interface Wrapped {
  readonly family: Family;
  readonly protocol: number;
  readonly payload: Uint8Array;
  /** Fields that are to be others than the right ones. */
  readonly v4?: Partial<Ipv4Header>;
  readonly v6?: Partial<Ipv6Header>;
  readonly source?: string;
  readonly destination?: string;
}

/** An IP packet from one member to another. */
export function packetOf({ from, to }: Ends, { family, protocol, payload, v4, v6, ...ends }: Wrapped): Buffer {
  const { source = from.addresses[family], destination = to.addresses[family] } = ends;
  return family === 4
    ? ipv4Packet({ source, destination, protocol, ...v4 }, payload)
    : ipv6Packet({ source, destination, next: protocol, ...v6 }, payload);
}

/** An IP packet in a frame. */
export function ipFrameOf(ends: Ends, wrapped: Wrapped): Buffer {
  return frameOf(ends, ETHERTYPES[wrapped.family], packetOf(ends, wrapped));
}

export interface ArpFields extends Ends {
  readonly sender: string;
  readonly target: string;
  /** 1 asks, 2 answers. */
  readonly operation?: number;
  /** In the message; the frame's own source when absent. */
  readonly senderMac?: string;
}

export function arpFrame({ from, to, sender, target, operation = 1, senderMac = from.mac }: ArpFields): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]);
  const body = [head, hex(senderMac), address(sender), hex(to.mac), address(target)];
  return frameOf({ from, to }, ARP, Buffer.concat(body));
}

export function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
  return bytes;
}

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}
