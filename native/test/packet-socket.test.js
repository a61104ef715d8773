import { afterAll, beforeAll, expect, test } from 'vitest';
import { netns, PacketSocket, socket } from '../lib/index.js';
import { makePair } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const ETHERTYPE = 0x88b5; // for local experiments

describeAsRoot('a packet socket', () => {
  let pair;
  beforeAll(() => {
    pair = makePair();
  });
  afterAll(() => pair.remove());

  const openOn = (side, options = {}) =>
    netns.run(side.name, () => new PacketSocket({ ifindex: side.ifindex, protocol: ETHERTYPE, ...options }));
  const mac = (side) => Buffer.from(side.mac.replaceAll(':', ''), 'hex');
  const ethernet = (destination, type, payload) => {
    const header = Buffer.alloc(14);
    destination.copy(header, 0);
    mac(pair.left).copy(header, 6);
    header.writeUInt16BE(type, 12);
    return Buffer.concat([header, payload]);
  };
  const payload = Buffer.alloc(50, 'payload');

  test('sends frames as they are and receives them so', () => {
    const [left, right] = [openOn(pair.left), openOn(pair.right)];
    const frame = ethernet(mac(pair.right), ETHERTYPE, payload);
    left.send(frame);
    expect(right.receive(5000)).toEqual({ data: frame, packetType: 'host' });
    left.send(ethernet(Buffer.alloc(6, 0xff), ETHERTYPE, payload));
    expect(right.receive(5000).packetType).toBe('broadcast');
    left.send(ethernet(Buffer.from('02aabbccddee', 'hex'), ETHERTYPE, payload));
    expect(right.receive(5000).packetType).toBe('otherhost');
    expect(right.receive(0)).toBeUndefined();
    left.close();
    right.close();
  });

  test('tells the VLAN tag that the kernel takes out', () => {
    const left = openOn(pair.left);
    const right = openOn(pair.right, { protocol: 3, promiscuous: true });
    const tagged = Buffer.concat([Buffer.from([0x20, 0x05]), Buffer.from([0x88, 0xb5]), payload]);
    left.send(ethernet(mac(pair.right), 0x8100, tagged));
    const frame = right.receive(5000);
    expect(frame.vlan).toEqual({ tci: 0x2005, tpid: 0x8100 });
    expect(frame.data).toEqual(ethernet(mac(pair.right), ETHERTYPE, payload));
    left.close();
    right.close();
  });

  test('delivers frames as events', async () => {
    const left = openOn(pair.left);
    const frames = [];
    await new Promise((resolve) => {
      const right = openOn(pair.right, {
        onFrame: (frame) => {
          frames.push(frame.data.subarray(14, 15)[0]);
          if (frames.length < 100) return;
          right.close();
          resolve();
        },
      });
      for (let i = 0; i < 100; i++) left.send(ethernet(mac(pair.right), ETHERTYPE, Buffer.alloc(50, i)));
    });
    expect(frames).toEqual(Array.from({ length: 100 }, (_, i) => i));
    left.close();
  });

  test('sends frames that real sockets receive', () => {
    const receiver = netns.run(pair.right.name, () =>
      socket.open({ family: 4, type: 'udp', bind: { address: pair.right.ip4, port: 4000 } }),
    );
    const left = openOn(pair.left, { bypassQdisc: true });
    left.send(ethernet(mac(pair.right), 0x0800, udp4(pair.left.ip4, pair.right.ip4, 4000, 'crafted')));
    expect(socket.receive(receiver, 5000)).toEqual({
      data: Buffer.from('crafted'),
      address: pair.left.ip4,
      port: 1234,
    });
    left.close();
    socket.close(receiver);
  });

  test('takes and gives a virtio header when asked to', () => {
    const left = openOn(pair.left, { vnetHeader: true });
    const right = openOn(pair.right, { vnetHeader: true });
    const frame = Buffer.concat([Buffer.alloc(10), ethernet(mac(pair.right), ETHERTYPE, payload)]);
    left.send(frame);
    const { data } = right.receive(5000);
    expect(data.subarray(10)).toEqual(frame.subarray(10));
    left.close();
    right.close();
  });

  test('names an interface that is not there', () => {
    expect(() => new PacketSocket({ ifindex: 0x7ffffffe })).toThrow(
      expect.objectContaining({ name: 'BpfError', code: 'ENODEV' }),
    );
    expect(() => new PacketSocket({})).toThrow(/^ifindex: /);
    expect(() => new PacketSocket({ ifindex: 1, promisc: true })).toThrow(/unknown option "promisc"/);
  });
});

/** An IPv4 packet with a UDP datagram from port 1234, without a UDP checksum. */
function udp4(from, to, port, text) {
  const packet = Buffer.alloc(28 + text.length);
  packet.writeUInt16BE(0x4500, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0x4011, 8); // TTL 64, UDP
  Buffer.from(from.split('.').map(Number)).copy(packet, 12);
  Buffer.from(to.split('.').map(Number)).copy(packet, 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 10);
  packet.writeUInt16BE(1234, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt16BE(8 + text.length, 24);
  packet.write(text, 28);
  return packet;
}
