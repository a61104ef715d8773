/**
 * Frames byte by byte, right ones and wrong ones: every field that a test may want to forge can be given. Lengths are
 * filled in where they are not; transport checksums stay zero, nothing here verifies them.
 */
import { addressBytes, parseAddress } from '../../../src/model/address.ts';
import { checksum } from '../../support/kernel/packets.ts';

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd, vlan: 0x8100, qinq: 0x88a8 } as const;
export const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  gre: 47,
  ah: 51,
  icmpv6: 58,
  none: 59,
  destinationOptions: 60,
  sctp: 132,
} as const;

export const MAC = { pod: '0a5800000002', node: '0a5800000001', other: '0a58000000ff' } as const;

/** Text -> 4 or 16 bytes. */
export function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return addressBytes(parsed);
}

function mac(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
  return bytes;
}

/** Tags: EtherType and VLAN id of each, the outermost first. */
export function ethernet(
  ethertype: number,
  payload: Uint8Array,
  tags: readonly (readonly [number, number])[] = [],
): Buffer {
  const tagged = tags.map(([type, id]) => u16(type, id));
  return Buffer.concat([mac(MAC.node), mac(MAC.pod), ...tagged, u16(ethertype), payload]);
}

export interface Ipv4Header {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** Padded to whole words with end-of-options. */
  readonly options?: readonly number[];
  readonly id?: number;
  readonly moreFragments?: boolean;
  /** Bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly version?: number;
  /** In words. */
  readonly headerLength?: number;
  readonly totalLength?: number;
}

/** The IP packet alone, as ICMP errors quote it. */
export function ipv4Packet(header: Ipv4Header, payload: Uint8Array): Buffer {
  const options = header.options ?? [];
  const length = 20 + 4 * Math.ceil(options.length / 4);
  const bytes = Buffer.alloc(length);
  bytes[0] = ((header.version ?? 4) << 4) | (header.headerLength ?? length / 4);
  bytes.writeUInt16BE(header.totalLength ?? length + payload.length, 2);
  bytes.writeUInt16BE(header.id ?? 0, 4);
  bytes.writeUInt16BE((header.moreFragments ? 0x2000 : 0) | ((header.fragmentOffset ?? 0) / 8), 6);
  bytes[8] = 64;
  bytes[9] = header.protocol;
  bytes.set(address(header.source), 12);
  bytes.set(address(header.destination), 16);
  bytes.set(options, 20);
  bytes.writeUInt16BE(checksum(bytes), 10);
  return Buffer.concat([bytes, payload]);
}

export interface Ipv6Header {
  readonly source: string;
  readonly destination: string;
  /** Of the first header behind this one. */
  readonly next: number;
  readonly hopLimit?: number;
  readonly version?: number;
  readonly payloadLength?: number;
}

export function ipv6Packet(header: Ipv6Header, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(40);
  bytes[0] = (header.version ?? 6) << 4;
  bytes.writeUInt16BE(header.payloadLength ?? payload.length, 4);
  bytes[6] = header.next;
  bytes[7] = header.hopLimit ?? 64;
  bytes.set(address(header.source), 8);
  bytes.set(address(header.destination), 24);
  return Buffer.concat([bytes, payload]);
}

export function ipv4(header: Ipv4Header, payload: Uint8Array): Buffer {
  return ethernet(ETHERTYPE.ipv4, ipv4Packet(header, payload));
}

export function ipv6(header: Ipv6Header, payload: Uint8Array): Buffer {
  return ethernet(ETHERTYPE.ipv6, ipv6Packet(header, payload));
}

/** An IPv6 options or routing header of 8 bytes (more with `units`), pointing at the next one. */
export function extension(next: number, { units = 0, routingType = 0, segmentsLeft = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(8 + 8 * units);
  bytes.set([next, units, routingType, segmentsLeft]);
  return bytes;
}

export function fragmentHeader(next: number, offset: number, more: boolean, id: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes[0] = next;
  bytes.writeUInt16BE(offset | (more ? 1 : 0), 2);
  bytes.writeUInt32BE(id, 4);
  return bytes;
}

const TCP_BITS = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 } as const;

/** Flags by their first letters: 'S', 'SA', 'A', 'FA' ... */
export function tcp(sourcePort: number, destinationPort: number, flags: string, dataOffset = 5): Buffer {
  const bytes = Buffer.alloc(20);
  u16(sourcePort, destinationPort).copy(bytes);
  bytes[12] = dataOffset << 4;
  bytes[13] = [...flags].reduce((bits, flag) => bits | TCP_BITS[flag as keyof typeof TCP_BITS], 0);
  return bytes;
}

export function udp(sourcePort: number, destinationPort: number, data = 8): Buffer {
  return Buffer.concat([u16(sourcePort, destinationPort, 8 + data, 0), Buffer.alloc(data)]);
}

export const CHUNK = { data: 0, init: 1, initAck: 2, abort: 6 } as const;

export function sctp(sourcePort: number, destinationPort: number, chunk: number): Buffer {
  const bytes = Buffer.alloc(12 + 20);
  u16(sourcePort, destinationPort).copy(bytes);
  bytes[12] = chunk;
  bytes.writeUInt16BE(20, 14);
  return bytes;
}

/** The four bytes behind the checksum, then data: an error's quoted packet, an advertisement's target. */
export function icmp(type: number, code: number, word = 0, data: Uint8Array = Buffer.alloc(8)): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.set([type, code]);
  bytes.writeUInt32BE(word, 4);
  return Buffer.concat([bytes, data]);
}

export function echo(type: number, identifier: number): Buffer {
  return icmp(type, 0, identifier << 16);
}

export interface Arp {
  readonly sender: string;
  readonly target: string;
  /** 1 asks, 2 answers. */
  readonly operation?: number;
  /** The sender's hardware address inside the message; the frame's own when absent. */
  readonly senderMac?: string;
}

export function arp({ sender, target, operation = 1, senderMac = MAC.pod }: Arp): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]);
  const body = [head, mac(senderMac), address(sender), Buffer.alloc(6), address(target)];
  return ethernet(ETHERTYPE.arp, Buffer.concat(body));
}
