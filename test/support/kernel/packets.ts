/** Frames as a pod's kernel would send them first: addresses, protocol and ports -> bytes from the Ethernet header on. */
import { type Address, addressBytes } from '../../../src/model/address.ts';
import type { Protocol } from '../oracle/oracle.ts';

export interface FirstPacket {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: Protocol;
  /** Of the destination; not looked at for protocols without ports. */
  readonly port: number;
  /** Of the source, or the identifier of an echo request. */
  readonly sourcePort: number;
}

const ETHERNET = { 4: 0x0800, 6: 0x86dd } as const;
const NUMBERS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** The packet that opens a connection: SYN, INIT, an echo request, or any datagram. */
export function firstPacket({ source, destination, protocol, port, sourcePort }: FirstPacket): Buffer {
  const family = source.includes(':') ? 6 : 4;
  const number = protocolNumber(protocol, family);
  return ipFrame(source, destination, number, payloadOf(number, sourcePort, port));
}

/** What follows on a connection: another packet from the side that opened it, or one from the other side. */
export type Following = 'request' | 'reply';

/** A packet in mid-stream. `source` and `destination` are those of the opening packet, whichever way this one goes. */
export function followingPacket(opening: FirstPacket, which: Following): Buffer {
  const { source, destination, protocol, port, sourcePort } = opening;
  const family = source.includes(':') ? 6 : 4;
  const number = protocolNumber(protocol, family);
  const [from, to] = which === 'request' ? [source, destination] : [destination, source];
  const [fromPort, toPort] = which === 'request' ? [sourcePort, port] : [port, sourcePort];
  return ipFrame(from, to, number, followingPayload(number, which, fromPort, toPort, sourcePort));
}

function followingPayload(protocol: number, which: Following, from: number, to: number, identifier: number): Buffer {
  if (protocol === 6) return tcpHeader(from, to, 'ACK');
  if (protocol === 17) return udpHeader(from, to);
  if (protocol === 132) return sctpChunk(from, to, SCTP_DATA);
  if (protocol === 1 || protocol === 58) return echo(protocol, which === 'reply', identifier);
  return Buffer.alloc(20);
}

export function protocolNumber(protocol: Protocol, family: 4 | 6): number {
  if (typeof protocol === 'number') return protocol;
  if (protocol === 'ICMP') return family === 4 ? 1 : 58;
  return NUMBERS[protocol] as number;
}

/** An IP packet in an Ethernet frame; checksums of the transport are left at zero unless the payload has them. */
export function ipFrame(source: Address, destination: Address, protocol: number, payload: Uint8Array): Buffer {
  const family = source.includes(':') ? 6 : 4;
  const header = family === 4 ? ipv4Header(protocol, payload.length) : ipv6Header(protocol, payload.length);
  const [at, length] = family === 4 ? [12, 4] : [8, 16];
  header.set(addressBytes(source), at);
  header.set(addressBytes(destination), at + length);
  if (family === 4) header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([ethernetHeader(ETHERNET[family]), header, payload]);
}

/** The ones' complement sum of RFC 1071. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'ACK';
const TCP_FLAGS: Readonly<Record<TcpFlag, number>> = { FIN: 1, SYN: 2, RST: 4, ACK: 16 };

export function tcpHeader(sourcePort: number, port: number, ...flags: readonly TcpFlag[]): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16BE(sourcePort, 0);
  bytes.writeUInt16BE(port, 2);
  bytes[12] = 5 << 4;
  bytes[13] = flags.reduce((bits, flag) => bits | TCP_FLAGS[flag], 0);
  return bytes;
}

export function udpHeader(sourcePort: number, port: number, data = 4): Buffer {
  const bytes = Buffer.alloc(8 + data);
  bytes.writeUInt16BE(sourcePort, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt16BE(bytes.length, 4);
  return bytes;
}

function payloadOf(protocol: number, sourcePort: number, port: number): Buffer {
  if (protocol === 6) return tcpHeader(sourcePort, port, 'SYN');
  if (protocol === 17) return udpHeader(sourcePort, port);
  if (protocol === 132) return sctpChunk(sourcePort, port, SCTP_INIT);
  if (protocol === 1 || protocol === 58) return echo(protocol, false, sourcePort);
  return Buffer.alloc(20);
}

const SCTP_DATA = 0;
const SCTP_INIT = 1;

/** The common header and one chunk without parameters. */
function sctpChunk(sourcePort: number, port: number, type: number): Buffer {
  const bytes = Buffer.alloc(12 + 20);
  bytes.writeUInt16BE(sourcePort, 0);
  bytes.writeUInt16BE(port, 2);
  bytes[12] = type;
  bytes.writeUInt16BE(20, 14);
  return bytes;
}

function echo(protocol: number, reply: boolean, identifier: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes[0] = protocol === 1 ? (reply ? 0 : 8) : reply ? 129 : 128;
  bytes.writeUInt16BE(identifier, 4);
  return bytes;
}

function ethernetHeader(ethertype: number): Buffer {
  const bytes = Buffer.from('0a58000000010a58000000020000', 'hex');
  bytes.writeUInt16BE(ethertype, 12);
  return bytes;
}

function ipv4Header(protocol: number, length: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[0] = 0x45;
  bytes.writeUInt16BE(20 + length, 2);
  // Don't fragment.
  bytes[6] = 0x40;
  bytes[8] = 64;
  bytes[9] = protocol;
  return bytes;
}

function ipv6Header(protocol: number, length: number): Buffer {
  const bytes = Buffer.alloc(40);
  bytes[0] = 0x60;
  bytes.writeUInt16BE(length, 4);
  bytes[6] = protocol;
  bytes[7] = 64;
  return bytes;
}
