/** A packet in numbers and texts -> the frame that a test-run takes: Ethernet, IPv4 or IPv6, TCP or UDP. */
import { type Address, addressBytes, familyOf } from '../../model/address.ts';

export interface Packet {
  readonly from: Address;
  readonly to: Address;
  readonly ports: readonly [from: number, to: number];
  readonly protocol?: 'TCP' | 'UDP';
  /** Of TCP; a packet in mid-stream when absent. */
  readonly flags?: keyof typeof TCP_FLAGS;
}

const TCP_FLAGS = { syn: 0x02, synAck: 0x12, ack: 0x10 } as const;
const ETHERNET = Buffer.from('020000000001020000000002', 'hex');
const DATA = 32;

/** Of the source port, bytes from the frame's start. */
export function portPlace(packet: Packet): number {
  return 14 + (familyOf(packet.from) === 4 ? 20 : 40);
}

export function frameOf(packet: Packet): Uint8Array {
  const { protocol = 'TCP' } = packet;
  const transport = protocol === 'TCP' ? tcp(packet) : udp(packet);
  const number = protocol === 'TCP' ? 6 : 17;
  if (familyOf(packet.from) === 4) {
    return Buffer.concat([ETHERNET, Buffer.of(0x08, 0x00), ipv4(packet, number, transport.length), transport]);
  }
  return Buffer.concat([ETHERNET, Buffer.of(0x86, 0xdd), ipv6(packet, number, transport.length), transport]);
}

function tcp({ ports, flags = 'ack' }: Packet): Buffer {
  const bytes = Buffer.alloc(20 + DATA);
  bytes.writeUInt16BE(ports[0], 0);
  bytes.writeUInt16BE(ports[1], 2);
  bytes[12] = 5 << 4;
  bytes[13] = TCP_FLAGS[flags];
  return bytes;
}

function udp({ ports }: Packet): Buffer {
  const bytes = Buffer.alloc(8 + DATA);
  bytes.writeUInt16BE(ports[0], 0);
  bytes.writeUInt16BE(ports[1], 2);
  bytes.writeUInt16BE(bytes.length, 4);
  return bytes;
}

function ipv4({ from, to }: Packet, protocol: number, length: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[0] = 0x45;
  bytes.writeUInt16BE(20 + length, 2);
  bytes[8] = 64;
  bytes[9] = protocol;
  bytes.set(addressBytes(from), 12);
  bytes.set(addressBytes(to), 16);
  return bytes;
}

function ipv6({ from, to }: Packet, protocol: number, length: number): Buffer {
  const bytes = Buffer.alloc(40);
  bytes[0] = 0x60;
  bytes.writeUInt16BE(length, 4);
  bytes[6] = protocol;
  bytes[7] = 64;
  bytes.set(addressBytes(from), 8);
  bytes.set(addressBytes(to), 24);
  return bytes;
}
