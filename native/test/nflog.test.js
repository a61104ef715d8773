import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NflogReader, netns, socket } from '../lib/index.js';
import { ip, makeNetns, removeNetns } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const GROUP = 71;
let name;
let readers = [];

beforeEach(() => {
  name = makeNetns();
  ip('-n', name, 'link', 'set', 'lo', 'up');
});

afterEach(() => {
  for (const reader of readers) reader.close();
  readers = [];
  removeNetns(name);
});

const nft = (text) => netns.run(name, () => execFileSync('nft', ['-f', '-'], { input: text, stdio: 'pipe' }));

/** Rules that log what goes to port 9 over loopback. */
function logTo(group, prefix) {
  const log = prefix === '' ? 'log' : `log prefix "${prefix}"`;
  nft(`table inet t {
    chain c {
      type filter hook output priority 0;
      udp dport 9 ${log} group ${group} drop
    }
  }`);
}

/** A reader of a group, and `until(count)`, which resolves with all packets once there are as many. */
function readIn(options = {}) {
  const packets = [];
  let waiting = () => {};
  const onPacket = (packet) => {
    packets.push(packet);
    waiting();
  };
  const reader = netns.run(name, () => new NflogReader({ group: GROUP, onPacket, ...options }));
  readers.push(reader);
  const until = (count) =>
    new Promise((resolve) => {
      waiting = () => packets.length >= count && resolve(packets);
      waiting();
    });
  return { reader, packets, until };
}

/** Datagrams to port 9 of loopback. */
function send(count, family = 4, data = Buffer.from('payload')) {
  const fd = netns.run(name, () => socket.open({ family, type: 'udp' }));
  try {
    for (let i = 0; i < count; i++) {
      try {
        socket.send(fd, data, { address: family === 4 ? '127.0.0.1' : '::1', port: 9 });
      } catch (error) {
        // The rule's drop.
        if (error.code !== 'EPERM') throw error;
      }
    }
  } finally {
    socket.close(fd);
  }
}

describeAsRoot('a reader of NFLOG', () => {
  test('is given what rules log to its group, with their prefix', async () => {
    logTo(GROUP, 'here it is');
    const { until } = readIn();
    send(1);
    const [packet] = await until(1);
    expect(packet).toMatchObject({ family: 2, ethertype: 0x0800, hook: 3, prefix: 'here it is', mark: 0, lost: 0 });
    expect(packet.output).toBe(1);
    expect(packet.input).toBeUndefined();
    expect(packet.payload[0]).toBe(0x45);
    expect(packet.payload.subarray(28).toString()).toBe('payload');
  });

  test('sees both families', async () => {
    logTo(GROUP, '');
    const { until } = readIn();
    send(1);
    send(1, 6);
    const packets = await until(2);
    expect(packets.map(({ family, ethertype, prefix }) => [family, ethertype, prefix])).toEqual([
      [2, 0x0800, ''],
      [10, 0x86dd, ''],
    ]);
  });

  test('is given no more bytes than it asks for', async () => {
    logTo(GROUP, '');
    const { until } = readIn({ bytes: 32 });
    send(1, 4, Buffer.alloc(500, 7));
    const [{ payload }] = await until(1);
    expect(payload).toHaveLength(32);
  });

  test('is not given what other groups get', async () => {
    logTo(GROUP + 1, 'other');
    const other = readIn({ group: GROUP + 1 });
    const { packets } = readIn();
    send(1);
    await other.until(1);
    expect(packets).toEqual([]);
  });

  test('is told how many had no room', async () => {
    logTo(GROUP, '');
    const { until } = readIn({ receiveBuffer: 4096 });
    // Nothing is read while this thread is busy.
    send(500);
    const first = await until(1);
    const count = first.length;
    send(40);
    const packets = await until(count + 1);
    const lost = packets.reduce((sum, one) => sum + one.lost, 0);
    expect(lost).toBeGreaterThan(0);
    expect(lost + packets.length).toBeLessThanOrEqual(540);
  });

  test('is the only one of its group, until it is closed', async () => {
    const { reader } = readIn();
    expect(() => readIn()).toThrow(expect.objectContaining({ code: 'EPERM', syscall: 'NFULNL_CFG_CMD_BIND' }));
    reader.close();
    reader.close();
    expect(() => reader.ref()).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
    readIn();
  });

  test('may be closed by what it calls', async () => {
    logTo(GROUP, '');
    const seen = [];
    const closed = new Promise((resolve) => {
      const { reader } = readIn({
        onPacket: (packet) => {
          seen.push(packet);
          reader.close();
          resolve();
        },
      });
    });
    send(5);
    await closed;
    expect(seen).toHaveLength(1);
  });
});

test('wrong arguments are named', () => {
  expect(() => new NflogReader({ group: 70_000, onPacket: () => {} })).toThrow(/^group: /);
  expect(() => new NflogReader({ group: 1 })).toThrow(/^onPacket: /);
  expect(() => new NflogReader({ group: 1, onPacket: () => {}, bytes: 0 })).toThrow(/^bytes: /);
  expect(() => new NflogReader({ group: 1, onPacket: () => {}, size: 1 })).toThrow(/size/);
});
