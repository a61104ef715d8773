import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfError, netlink, netns, socket } from '../lib/index.js';
import { makePair } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

describeAsRoot('running in a network namespace', () => {
  let pair;
  beforeAll(() => {
    pair = makePair();
  });
  afterAll(() => pair.remove());

  test('gives what the function gives, and comes back', () => {
    const here = netns.inode();
    const there = netns.run(pair.left.name, () => netns.inode());
    expect(there).toBe(netns.inode(pair.left.name));
    expect(there).not.toBe(here);
    expect(netns.inode()).toBe(here);
    expect(netns.run(netns.pathOf(pair.left.name), () => netlink.links()).map(({ name }) => name)).toContain('eth0');
  });

  test('comes back when the function throws', () => {
    const here = netns.inode();
    expect(() =>
      netns.run(pair.left.name, () => {
        throw new RangeError('inside');
      }),
    ).toThrow(new RangeError('inside'));
    expect(netns.inode()).toBe(here);
  });

  test('nests', () => {
    const seen = netns.run(pair.left.name, () => [
      netns.inode(),
      netns.run(pair.right.name, () => netns.inode()),
      netns.inode(),
    ]);
    const [left, right] = [netns.inode(pair.left.name), netns.inode(pair.right.name)];
    expect(seen).toEqual([left, right, left]);
  });

  test('is for synchronous functions', () => {
    const here = netns.inode();
    expect(() => netns.run(pair.left.name, async () => {})).toThrow(/expected a synchronous function/);
    expect(netns.inode()).toBe(here);
    expect(() => netns.run(pair.left.name)).toThrow(/^fn: /);
  });

  test('names a namespace that is not there', () => {
    expect(() => netns.run('no-such-namespace', () => {})).toThrow(/network namespace \/run\/netns\/no-such-namespace/);
    expect(() => netns.run('/etc/hostname', () => {})).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'setns' }),
    );
  });
});

describeAsRoot('sockets of a namespace', () => {
  let pair;
  beforeAll(() => {
    pair = makePair();
  });
  afterAll(() => pair.remove());

  for (const family of [4, 6]) {
    test(`serve and connect with node’s own classes over IPv${family}`, async () => {
      const address = pair.right[`ip${family}`];
      const listening = netns.run(pair.right.name, () =>
        socket.open({ family, type: 'tcp', bind: { address }, listen: 16, reuseAddress: true }),
      );
      const { port } = socket.localAddress(listening);
      const server = net.createServer((connection) => connection.end(`hello ${connection.remoteAddress}`));
      server.listen({ fd: listening });
      await once(server, 'listening');

      // The connection leaves from the namespace in which its fd was made: this process's own has no such address.
      const fd = netns.run(pair.left.name, () => socket.open({ family, type: 'tcp' }));
      const client = new net.Socket({ fd, manualStart: true });
      client.connect({ host: address, port });
      await once(client, 'connect');
      expect(client.localAddress).toBe(pair.left[`ip${family}`]);
      let text = '';
      client.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      await once(client, 'close');
      expect(text).toBe(`hello ${pair.left[`ip${family}`]}`);
      server.close();
      await once(server, 'close');
    });

    test(`send and receive datagrams with node’s own class over IPv${family}`, async () => {
      const address = pair.right[`ip${family}`];
      const fd = netns.run(pair.right.name, () => socket.open({ family, type: 'udp', bind: { address, port: 5353 } }));
      const server = dgram.createSocket(`udp${family}`);
      server.bind({ fd }); // an fd listens at once
      server.on('message', (message, { port, address }) => server.send(`re: ${message}`, port, address));

      const clientFd = netns.run(pair.left.name, () => socket.open({ family, type: 'udp' }));
      const client = dgram.createSocket(`udp${family}`);
      client.bind({ fd: clientFd });
      client.send('question', 5353, address);
      const [message, from] = await once(client, 'message');
      expect([String(message), from.address]).toEqual(['re: question', address]);
      client.close();
      server.close();
    });

    test(`send and receive without an event loop over IPv${family}`, () => {
      const [left, right] = [pair.left, pair.right].map((side) =>
        netns.run(side.name, () => socket.open({ family, type: 'udp', bind: { address: side[`ip${family}`] } })),
      );
      const { address, port } = socket.localAddress(right);
      expect(address).toBe(pair.right[`ip${family}`]);
      socket.send(left, Buffer.from('x'), { address, port });
      expect(socket.receive(right, 5000)).toEqual({ data: Buffer.from('x'), ...socket.localAddress(left) });
      expect(socket.receive(right, 0)).toBeUndefined();
      socket.close(left);
      socket.close(right);
    });

    test(`fail to connect where nobody listens over IPv${family}`, async () => {
      const fd = netns.run(pair.left.name, () => socket.open({ family, type: 'tcp' }));
      const client = new net.Socket({ fd, manualStart: true });
      client.connect({ host: pair.right[`ip${family}`], port: 9 });
      const [error] = await once(client, 'error');
      expect(error.code).toBe('ECONNREFUSED');
    });
  }

  test('can be raw: an echo request and its reply', () => {
    const fd = netns.run(pair.left.name, () => socket.open({ family: 4, type: 'raw', protocol: 1 }));
    const request = Buffer.from('0800000012340001', 'hex');
    request.writeUInt16BE(0xffff - (0x0800 + 0x1234 + 0x0001), 2);
    socket.send(fd, request, { address: pair.right.ip4 });
    const { data, address } = socket.receive(fd, 5000);
    expect(address).toBe(pair.right.ip4);
    expect(data.subarray(20, 21)).toEqual(Buffer.from([0])); // echo reply, after the IP header
    expect(data.subarray(24)).toEqual(request.subarray(4));
    socket.close(fd);
  });

  test('tell why they cannot be opened', () => {
    const open = (options) => netns.run(pair.left.name, () => socket.open({ family: 4, type: 'tcp', ...options }));
    expect(() => open({ bind: { address: '192.0.2.77' } })).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL', syscall: 'bind' }),
    );
    const first = open({ bind: { address: pair.left.ip4, port: 8080 }, listen: 1 });
    expect(() => open({ bind: { address: pair.left.ip4, port: 8080 }, listen: 1 })).toThrow(
      /tcp socket on 10\.9\.0\.1 port 8080: .*EADDRINUSE/,
    );
    socket.close(first);
    expect(() => socket.close(first)).toThrow(BpfError);
    expect(() => open({ device: 'nosuch0' })).toThrow(expect.objectContaining({ code: 'ENODEV' }));
    expect(() => open({ bind: { address: 'fd09::1' } })).toThrow(/^bind\.address: expected an IPv4 address/);
    expect(() => open({ bind: { address: pair.left.ip4, port: 70000 } })).toThrow(/^bind\.port: /);
    expect(() => open({ type: 'sctp' })).toThrow(/^type: /);
    expect(() => open({ backlog: 5 })).toThrow(/unknown option "backlog"/);
  });
});
