import { expect, test } from 'vitest';
import { attachTc, netns, RingBuffer } from '../lib/index.js';
import { loadFixture } from './support/fixture.js';
import { makePair } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';
import { openTraffic } from './support/traffic.js';

const report = (object, mark, repeat = 1) =>
  object.program('report').testRun({ packet: Buffer.alloc(64), context: { mark }, repeat });
const mark = (record) => record.readUInt32LE(0);

/** Collects records; `count(n)` resolves with them when there are n. */
function collector() {
  const records = [];
  let wanted = { number: Number.POSITIVE_INFINITY, resolve: () => {} };
  const check = () => records.length >= wanted.number && wanted.resolve(records);
  return {
    push: (record) => {
      records.push(record);
      check();
    },
    count: (number) =>
      new Promise((resolve) => {
        wanted = { number, resolve };
        check();
      }),
    records,
  };
}

describeAsRoot('a ring buffer', () => {
  test('wakes the event loop for records of real packets', async () => {
    const object = loadFixture();
    const pair = makePair();
    const traffic = openTraffic(pair);
    const got = collector();
    const datagram = 14 + 20 + 8 + 10;
    const ring = new RingBuffer(object.map('events'), (record) => {
      // The kernel itself may say something by IPv6.
      if (record.readUInt32LE(4) === datagram) got.push(record);
    });
    const link = netns.run(pair.right.name, () =>
      attachTc(object.program('report'), { ifindex: pair.right.ifindex, direction: 'ingress' }),
    );
    traffic.send('0123456789');
    const [record] = await got.count(1);
    expect(record).toHaveLength(8);
    ring.close();
    link.close();
    traffic.close();
    pair.remove();
    object.close();
  });

  test('delivers a flood in order, some at a time', async () => {
    const object = loadFixture();
    const got = collector();
    const ring = new RingBuffer(object.map('events'), got.push);
    let turns = 0;
    const turn = () => {
      turns++;
      if (!ring.closed) setImmediate(turn);
    };
    setImmediate(turn);
    for (let i = 0; i < 5000; i++) report(object, i);
    await got.count(5000);
    expect(got.records.map(mark)).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    expect(turns).toBeGreaterThan(2);
    ring.close();
    object.close();
  });

  test('can be read at once', () => {
    const object = loadFixture();
    const got = collector();
    const ring = new RingBuffer(object.map('events'), got.push);
    expect(ring.consume()).toBe(0);
    report(object, 9, 3);
    expect(ring.consume()).toBe(3);
    expect(got.records.map(mark)).toEqual([9, 9, 9]);
    ring.close();
    object.close();
  });

  test('can be closed by its own callback', async () => {
    const object = loadFixture();
    report(object, 1, 10);
    const seen = [];
    await new Promise((resolve) => {
      const ring = new RingBuffer(object.map('events'), (record) => {
        seen.push(mark(record));
        ring.close();
        setImmediate(resolve);
      });
    });
    expect(seen).toEqual([1]);
    object.close();
  });

  test('goes on after a callback that throws, at once or later', async () => {
    const object = loadFixture();
    const got = collector();
    const thrown = collector();
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', thrown.push);
    const fail = (when) => {
      throw new Error(when);
    };
    const ring = new RingBuffer(object.map('events'), (record) => {
      if (mark(record) === 1) fail('at once');
      if (mark(record) === 2) process.nextTick(fail, 'later');
      got.push(record);
    });
    for (const number of [1, 2, 3]) report(object, number);
    await got.count(2);
    await thrown.count(2);
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
    expect(got.records.map(mark)).toEqual([2, 3]);
    expect(thrown.records.map(({ message }) => message).sort()).toEqual(['at once', 'later']);
    ring.close();
    object.close();
  });

  test('wants a ring buffer', () => {
    const object = loadFixture();
    expect(() => new RingBuffer(object.map('counts'), () => {})).toThrow(
      expect.objectContaining({ name: 'BpfError', code: 'EINVAL' }),
    );
    expect(() => new RingBuffer(object.map('events'))).toThrow(/^onRecord: /);
    object.close();
  });

  test('is closed with its map', () => {
    const object = loadFixture();
    const ring = new RingBuffer(object.map('events'), () => {});
    object.close();
    expect(ring.closed).toBe(true);
  });
});
