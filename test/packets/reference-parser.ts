/**
 * A frame's bytes -> what a strict reader of the RFCs (791, 793, 768, 792, 4443, 4861, 8200, 9260) finds in them. Written for
 * the fuzz test alone, with nothing of the packet path in it: no speed, no offsets kept, every byte asked for by its place.
 */
import { addressOf } from '../../src/model/address.ts';

export interface Datagram {
  readonly kind: 'datagram';
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  /** Behind all extension headers; of a later fragment as the fragment names it. */
  readonly protocol: number;
  readonly hopLimit: number;
  /** Extension headers before the protocol. */
  readonly extended: boolean;
  readonly fragment?: { readonly id: number; readonly offset: number; readonly named: number };
  /** From the protocol's header to the packet's end, without what stands behind the packet in the frame. */
  readonly payload: Buffer;
}

export type Parsed =
  | { readonly kind: 'arp'; readonly frame: Buffer }
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'other' }
  | Datagram;

class Unreadable extends Error {}

export function parseFrame(frame: Buffer): Parsed {
  try {
    const ethertype = word(frame, 12);
    const packet = frame.subarray(14);
    if (ethertype === 0x0806) return { kind: 'arp', frame };
    if (ethertype === 0x0800) return parse4(packet);
    if (ethertype === 0x86dd) return parse6(packet);
    return { kind: 'other' };
  } catch (error) {
    if (error instanceof Unreadable) return { kind: 'unreadable' };
    throw error;
  }
}

/** The packet that an ICMP error quotes: its head, of which the rest may be missing. */
export function parseQuoted(family: 4 | 6, quoted: Buffer): Datagram | undefined {
  try {
    const quote = family === 4 ? quoted4(quoted) : quoted6(quoted);
    return quote.payload.length < 8 || (quote.fragment?.offset ?? 0) > 0 ? undefined : quote;
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

function parse4(packet: Buffer): Datagram {
  need(byte(packet, 0) >> 4 === 4);
  const header = (byte(packet, 0) & 0xf) * 4;
  const total = word(packet, 2);
  need(header >= 20 && total >= header && total <= packet.length);
  readOptions(packet.subarray(20, header));
  const datagram = quoted4(packet.subarray(0, total));
  checkWhole(datagram);
  return datagram;
}

/** Options end where the first of them says so; none may change where the packet goes. */
function readOptions(options: Buffer): void {
  for (let at = 0; at < options.length; ) {
    const type = byte(options, at);
    if (type === 0) return;
    if (type === 1) {
      at++;
      continue;
    }
    const length = byte(options, at + 1);
    need(length >= 2 && at + length <= options.length);
    need(type !== 131 && type !== 137);
    at += length;
  }
}

function quoted4(packet: Buffer): Datagram {
  need(byte(packet, 0) >> 4 === 4);
  const header = (byte(packet, 0) & 0xf) * 4;
  need(header >= 20 && packet.length >= header);
  const bits = word(packet, 6);
  const offset = (bits & 0x1fff) * 8;
  const protocol = byte(packet, 9);
  const fragment = offset > 0 || bits & 0x2000 ? { id: word(packet, 4), offset, named: protocol } : undefined;
  return {
    kind: 'datagram',
    family: 4,
    source: addressOf(packet.subarray(12, 16)),
    destination: addressOf(packet.subarray(16, 20)),
    protocol,
    hopLimit: byte(packet, 8),
    extended: false,
    ...(fragment && { fragment }),
    payload: packet.subarray(header),
  };
}

function parse6(packet: Buffer): Datagram {
  need(packet.length >= 40);
  const total = 40 + word(packet, 4);
  need(total <= packet.length);
  const datagram = quoted6(packet.subarray(0, total));
  checkWhole(datagram);
  return datagram;
}

const [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION] = [0, 43, 44, 60] as const;
const MOST_HEADERS = 8;

function quoted6(packet: Buffer): Datagram {
  need(packet.length >= 40 && byte(packet, 0) >> 4 === 6);
  let protocol = byte(packet, 6);
  let rest = packet.subarray(40);
  let fragment: Datagram['fragment'];
  let count = 0;
  while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION].includes(protocol as 0) && !fragment?.offset) {
    need(rest.length >= 8 && count < MOST_HEADERS && (protocol !== HOP_BY_HOP || count === 0));
    count++;
    const next = byte(rest, 0);
    if (protocol === FRAGMENT) {
      const bits = word(rest, 2);
      if (bits & 0xfff9) {
        need(fragment === undefined);
        fragment = { id: rest.readUInt32BE(4), offset: bits & 0xfff8, named: next };
      } else {
        // Atomic; but fragments have no fragments.
        need(fragment === undefined);
      }
      rest = rest.subarray(8);
    } else {
      need(protocol !== ROUTING || byte(rest, 3) === 0);
      const length = (byte(rest, 1) + 1) * 8;
      need(rest.length >= length);
      rest = rest.subarray(length);
    }
    protocol = next;
  }
  return {
    kind: 'datagram',
    family: 6,
    source: addressOf(packet.subarray(8, 24)),
    destination: addressOf(packet.subarray(24, 40)),
    protocol,
    hopLimit: byte(packet, 7),
    extended: count > 0,
    ...(fragment && { fragment }),
    payload: rest,
  };
}

const [ICMP, TCP, UDP, ICMPV6, SCTP] = [1, 6, 17, 58, 132] as const;

/** A first or only piece holds its whole header, and no later one may write over TCP's. */
function checkWhole({ family, protocol, fragment, payload }: Datagram): void {
  if (fragment !== undefined && fragment.offset > 0) {
    need(protocol !== TCP || fragment.offset >= 20);
    return;
  }
  if (protocol === TCP) need(payload.length >= 20 && byte(payload, 12) >> 4 >= 5);
  if (protocol === UDP) need(payload.length >= 8);
  // The common header and a first chunk's.
  if (protocol === SCTP) need(payload.length >= 16);
  if (protocol === (family === 4 ? ICMP : ICMPV6)) need(payload.length >= 8);
}

function need(met: boolean): void {
  if (!met) throw new Unreadable();
}

function byte(bytes: Buffer, at: number): number {
  need(at < bytes.length);
  return bytes[at] as number;
}

function word(bytes: Buffer, at: number): number {
  return (byte(bytes, at) << 8) | byte(bytes, at + 1);
}
