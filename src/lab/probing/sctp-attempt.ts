/**
 * A probe over SCTP on kernels that have none: an INIT chunk in a raw packet is the opening of an association to whoever
 * judges it, and its arrival is the answer. Nobody answers it, so what comes back is not tried.
 */
import { randomBytes } from 'node:crypto';
import { familyOf } from '../../model/address.ts';
import { netns, socket } from '../../native.ts';
import type { Attempt, Probe, Settle } from './probe-attempt.ts';

const PROTOCOL = 132;
/** Between looks at what has arrived, in milliseconds: nothing else tells of raw packets. */
const LOOK = 10;

/** Sends an INIT, and again when asked, until it has arrived. */
export function initiate({ from, to, port }: Probe, settle: Settle): Attempt {
  const family = familyOf(from.address);
  const options = { family, type: 'raw', protocol: PROTOCOL } as const;
  const packet = initPacket(port);
  const receiver = netns.run(to.namespace, () => socket.open({ ...options, bind: { address: to.address } }));
  const sender = netns.run(from.namespace, () => socket.open({ ...options, bind: { address: from.address } }));
  const send = () => socket.send(sender, packet, { address: to.address });
  const look = () => {
    for (let found = socket.receive(receiver, 0); found !== undefined; found = socket.receive(receiver, 0)) {
      // IPv4 raw sockets give the IP header too, IPv6 ones do not.
      const payload = family === 4 ? found.data.subarray(((found.data[0] ?? 0) & 15) * 4) : found.data;
      if (packet.equals(payload) && found.address === from.address) return settle({ verdict: 'allow' });
    }
  };
  const looking = setInterval(() => {
    try {
      look();
    } catch (error) {
      settle({ verdict: 'error', reason: (error as Error).message });
    }
  }, LOOK);
  const close = () => {
    clearInterval(looking);
    socket.close(sender);
    socket.close(receiver);
  };
  try {
    send();
  } catch (error) {
    close();
    throw error;
  }
  return { connected: false, repeat: send, close };
}

/** RFC 9260, 3.1 and 3.3.2: the common header with no verification tag, then one INIT chunk. */
function initPacket(port: number): Buffer {
  const packet = Buffer.alloc(32);
  const random = randomBytes(10);
  packet.writeUInt16BE(32_768 | random.readUInt16BE(0), 0);
  packet.writeUInt16BE(port, 2);
  packet.writeUInt8(1, 12);
  packet.writeUInt16BE(20, 14);
  // Initiate tag (never 0), receiver window, streams out and in, first sequence number.
  packet.writeUInt32BE((random.readUInt32BE(2) | 1) >>> 0, 16);
  packet.writeUInt32BE(65_536, 20);
  packet.writeUInt16BE(1, 24);
  packet.writeUInt16BE(1, 26);
  packet.writeUInt32BE(random.readUInt32BE(6), 28);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** Castagnoli's CRC, reflected, over the packet with a checksum of zero. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
