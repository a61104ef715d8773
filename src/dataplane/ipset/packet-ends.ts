/** The beginning of an IP packet -> its two ends, as far as they can be read. */
import { type Address, addressOf } from '../../model/address.ts';

export interface PacketEnds {
  readonly source?: Address;
  readonly destination?: Address;
  /** 0 where there are none; ICMP: type in the upper, code in the lower byte of the destination port. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
  /** Of the whole packet by its header, in bytes. */
  readonly length: number;
}

const WITH_PORTS = new Set([6, 17, 132]);
const ICMP = new Set([1, 58]);
/** Hop-by-hop, routing, destination options: each says what follows and how long it is, in units of 8 bytes. */
const STEPPED_OVER = new Set([0, 43, 60]);
const FRAGMENT = 44;

/** `packet`: from the IP header on. */
export function packetEnds(packet: Buffer): PacketEnds {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4 && packet.length >= 20) return ends4(packet);
  if (version === 6 && packet.length >= 40) return ends6(packet);
  return { sourcePort: 0, destinationPort: 0, protocol: 0, length: packet.length };
}

function ends4(packet: Buffer): PacketEnds {
  const protocol = packet.readUInt8(9);
  const isFirst = (packet.readUInt16BE(6) & 0x1fff) === 0;
  const transport = packet.subarray(4 * (packet.readUInt8(0) & 15));
  return {
    source: addressOf(packet.subarray(12, 16)),
    destination: addressOf(packet.subarray(16, 20)),
    ...portsOf(protocol, isFirst ? transport : Buffer.alloc(0)),
    protocol,
    length: packet.readUInt16BE(2),
  };
}

function ends6(packet: Buffer): PacketEnds {
  let protocol = packet.readUInt8(6);
  let rest = packet.subarray(40);
  let isFirst = true;
  for (; rest.length >= 8 && (STEPPED_OVER.has(protocol) || protocol === FRAGMENT); ) {
    const length = protocol === FRAGMENT ? 8 : 8 * (rest.readUInt8(1) + 1);
    if (protocol === FRAGMENT) isFirst = rest.readUInt16BE(2) >> 3 === 0;
    protocol = rest.readUInt8(0);
    rest = rest.subarray(length);
  }
  return {
    source: addressOf(packet.subarray(8, 24)),
    destination: addressOf(packet.subarray(24, 40)),
    ...portsOf(protocol, isFirst ? rest : Buffer.alloc(0)),
    protocol,
    length: 40 + packet.readUInt16BE(4),
  };
}

function portsOf(protocol: number, transport: Buffer): Pick<PacketEnds, 'sourcePort' | 'destinationPort'> {
  if (WITH_PORTS.has(protocol) && transport.length >= 4) {
    return { sourcePort: transport.readUInt16BE(0), destinationPort: transport.readUInt16BE(2) };
  }
  const isIcmp = ICMP.has(protocol) && transport.length >= 2;
  return { sourcePort: 0, destinationPort: isIcmp ? transport.readUInt16BE(0) : 0 };
}
