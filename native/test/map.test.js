import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfError, BpfMap, features, mapFlags, possibleCpus } from '../lib/index.js';
import { loadFixture, u32, u64 } from './support/fixture.js';
import { pinPath } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

const sorted = (entries) => entries.map(([key, value]) => [key.readUInt32LE(), value]).sort(([a], [b]) => a - b);
const numbers = (count) => Array.from({ length: count }, (_, i) => i);

function withMap(options, use) {
  const map = BpfMap.create({ keySize: 4, valueSize: 8, maxEntries: 16, ...options });
  try {
    return use(map);
  } finally {
    map.close();
  }
}

describeAsRoot('a map', () => {
  test('of type hash sets, gets, lists and deletes', () => {
    withMap({ type: 'hash', name: 'test_hash' }, (map) => {
      expect(map.info).toMatchObject({ type: 'hash', keySize: 4, valueSize: 8, maxEntries: 16, name: 'test_hash' });
      expect(map.get(u32(1))).toBeUndefined();
      map.set(u32(1), u64(10));
      map.set(u32(2), u64(20));
      expect(map.get(u32(1))).toEqual(u64(10));
      expect(sorted(map.entries())).toEqual([
        [1, u64(10)],
        [2, u64(20)],
      ]);
      expect(
        map
          .keys()
          .map((key) => key.readUInt32LE())
          .sort(),
      ).toEqual([1, 2]);
      expect(map.delete(u32(1))).toBe(true);
      expect(map.delete(u32(1))).toBe(false);
      expect(map.keys()).toEqual([u32(2)]);
    });
  });

  test('tells creating from replacing', () => {
    withMap({ type: 'hash' }, (map) => {
      expect(() => map.set(u32(1), u64(1), 'exist')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
      map.set(u32(1), u64(1), 'noexist');
      expect(() => map.set(u32(1), u64(2), 'noexist')).toThrow(expect.objectContaining({ code: 'EEXIST' }));
      map.set(u32(1), u64(3), 'exist');
      expect(map.get(u32(1))).toEqual(u64(3));
      expect(() => map.set(u32(1), u64(1), 'maybe')).toThrow(TypeError);
    });
  });

  test('that is full says so, by its name', () => {
    withMap({ type: 'hash', maxEntries: 1, name: 'tiny' }, (map) => {
      map.set(u32(1), u64(1));
      expect(() => map.set(u32(2), u64(1))).toThrow(BpfError);
      expect(() => map.set(u32(2), u64(1))).toThrow(/BPF_MAP_UPDATE_ELEM map tiny: .*\(E2BIG\)/);
    });
  });

  test('of type array has all its elements from the start, and none can be deleted', () => {
    withMap({ type: 'array', maxEntries: 3 }, (map) => {
      map.set(u32(1), u64(5));
      expect(map.entries()).toEqual([
        [u32(0), u64(0)],
        [u32(1), u64(5)],
        [u32(2), u64(0)],
      ]);
      expect(() => map.delete(u32(1))).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    });
  });

  test('per CPU has a value for each possible one, rounded up to eight bytes', () => {
    for (const type of ['percpu_hash', 'percpu_array']) {
      withMap({ type, valueSize: 4, maxEntries: 2 }, (map) => {
        const value = Buffer.concat(numbers(possibleCpus()).map((cpu) => u32(cpu + 1, 0)));
        expect(map.valueBytes).toBe(8 * possibleCpus());
        map.set(u32(1), value);
        expect(map.get(u32(1))).toEqual(value);
        expect(map.entries().find(([key]) => key.equals(u32(1)))[1]).toEqual(value);
        map.setBatch(u32(0, 1), Buffer.concat([value, value]), 2);
        expect(map.get(u32(0))).toEqual(value);
      });
    }
  });

  test('of type lpm_trie gives the value of the longest prefix', () => {
    withMap({ type: 'lpm_trie', keySize: 8, flags: mapFlags.noPrealloc }, (map) => {
      const prefix = (length, ...bytes) => Buffer.concat([u32(length), Buffer.from(bytes)]);
      map.set(prefix(8, 10, 0, 0, 0), u64(8));
      map.set(prefix(24, 10, 1, 2, 0), u64(24));
      expect(map.get(prefix(32, 10, 1, 2, 3))).toEqual(u64(24));
      expect(map.get(prefix(32, 10, 9, 9, 9))).toEqual(u64(8));
      expect(map.get(prefix(32, 11, 0, 0, 0))).toBeUndefined();
      expect(map.entries()).toHaveLength(2);
      expect(map.deleteBatch(prefix(24, 10, 1, 2, 0), 1)).toBe(1);
      expect(map.get(prefix(32, 10, 1, 2, 3))).toEqual(u64(8));
    });
  });

  test('of type lru_hash forgets rather than being full', () => {
    withMap({ type: 'lru_hash', maxEntries: 64 }, (map) => {
      for (const i of numbers(1000)) map.set(u32(i), u64(i));
      expect(map.entries().length).toBeLessThanOrEqual(64);
      expect(map.get(u32(999))).toEqual(u64(999));
    });
  });

  test('of maps holds maps, which programs and user space find', () => {
    const object = loadFixture();
    const tables = object.map('tables');
    const run = () => object.program('read_inner').testRun({ packet: Buffer.alloc(64) }).returnValue;
    expect(run()).toBe(-1);
    const inner = BpfMap.create({ type: 'array', keySize: 4, valueSize: 4, maxEntries: 2 });
    inner.set(u32(0), u32(42));
    tables.setInner(u32(0), inner);
    expect(run()).toBe(42);
    expect(tables.get(u32(0))).toEqual(u32(inner.info.id));
    inner.close();
    const again = tables.getInner(u32(0));
    expect(again.get(u32(0))).toEqual(u32(42));
    expect(tables.getInner(u32(1))).toBeUndefined();
    expect(tables.delete(u32(0))).toBe(true);
    expect(run()).toBe(-1);
    expect(() => again.setInner(u32(0), again)).toThrow(/array holds no maps/);
    object.close();
    again.close();
  });

  test('of maps can be created with a prototype', () => {
    const inner = BpfMap.create({ type: 'lru_hash', keySize: 4, valueSize: 4, maxEntries: 10 });
    withMap({ type: 'hash_of_maps', valueSize: 4, innerMap: inner }, (map) => {
      map.setInner(u32(7), inner);
      expect(map.getInner(u32(7)).info.id).toBe(inner.info.id);
      expect(map.entries()).toEqual([[u32(7), u32(inner.info.id)]]);
    });
    inner.close();
  });

  test('names what is wrong with its arguments', () => {
    withMap({ type: 'hash', name: 'checked' }, (map) => {
      expect(() => map.get(Buffer.alloc(3))).toThrow(new TypeError('key of map checked: expected 4 bytes, got 3'));
      expect(() => map.get('key')).toThrow(/expected a Buffer or Uint8Array, got "key"/);
      expect(() => map.set(u32(1), u32(1))).toThrow(new TypeError('value of map checked: expected 8 bytes, got 4'));
      expect(() => map.setBatch(u32(1), u64(1), 2)).toThrow(
        new TypeError('keys of map checked: expected 8 bytes, got 4'),
      );
    });
    expect(() => withMap({ type: 'hashed' }, () => {})).toThrow('type: no map type is called hashed');
    expect(() => withMap({ type: 'hash', name: 'a name with spaces' }, () => {})).toThrow(/^name: /);
    expect(() => withMap({ type: 'hash', size: 5 }, () => {})).toThrow(/unknown option "size"/);
    expect(() => BpfMap.fromId(0)).toThrow(/^id: /);
  });

  test('can be pinned and opened again, by path and by id', () => {
    const path = pinPath('map');
    withMap({ type: 'hash' }, (map) => {
      map.set(u32(1), u64(4));
      map.pin(path);
      expect(() => map.pin(path)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
      const byId = BpfMap.fromId(map.info.id);
      expect(byId.get(u32(1))).toEqual(u64(4));
      byId.close();
    });
    const pinned = BpfMap.openPinned(path);
    expect(pinned.get(u32(1))).toEqual(u64(4));
    pinned.unpin(path);
    pinned.unpin(path);
    pinned.close();
    expect(() => BpfMap.openPinned(path)).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'BPF_OBJ_GET' }));
  });
});

describeAsRoot('batches', () => {
  const count = 5000;
  const keys = u32(...numbers(count));
  const values = u64(...numbers(count));

  test('write, read and delete thousands of elements', () => {
    for (const type of ['hash', 'lru_hash']) {
      withMap({ type, maxEntries: 2 * count }, (map) => {
        expect(features.hasBatch(type)).toBe(true);
        map.setBatch(keys, values, count);
        expect(sorted(map.entries())).toEqual(numbers(count).map((i) => [i, u64(i)]));
        const all = map.entriesBatch();
        expect([all.count, all.keys.length, all.values.length]).toEqual([count, 4 * count, 8 * count]);
        expect(map.deleteBatch(keys.subarray(0, 4 * 4000), 4000)).toBe(4000);
        expect(map.entries()).toHaveLength(1000);
      });
    }
  });

  test('read an array whole', () => {
    withMap({ type: 'array', maxEntries: count }, (map) => {
      map.setBatch(keys, values, count);
      expect(map.entriesBatch()).toEqual({ count, keys, values });
    });
  });

  test('skip what is not there when deleting', () => {
    withMap({ type: 'hash' }, (map) => {
      map.setBatch(u32(1, 3, 5), u64(1, 3, 5), 3);
      expect(map.deleteBatch(u32(0, 1, 2, 3, 4), 5)).toBe(2);
      expect(map.keys()).toEqual([u32(5)]);
    });
  });

  test('of nothing do nothing', () => {
    withMap({ type: 'hash' }, (map) => {
      map.setBatch(Buffer.alloc(0), Buffer.alloc(0), 0);
      expect(map.deleteBatch(Buffer.alloc(0), 0)).toBe(0);
      expect(map.entriesBatch()).toMatchObject({ count: 0 });
    });
  });

  test('that do not fit say how far they came', () => {
    withMap({ type: 'hash', maxEntries: 2, flags: mapFlags.noPrealloc }, (map) => {
      expect(() => map.setBatch(u32(1, 2, 3, 4), u64(1, 2, 3, 4), 4)).toThrow(/\(after 2 of 4 elements\).*E2BIG/);
      expect(map.entries()).toHaveLength(2);
    });
  });

  test('go element by element where the kernel has no batch call for the map', () => {
    expect(features.hasBatch('devmap_hash')).toBe(false);
    withMap({ type: 'devmap_hash', valueSize: 4 }, (map) => {
      map.setBatch(u32(3, 4, 5), u32(1, 1, 1), 3); // interface 1 is the loopback
      expect(sorted(map.entries())).toEqual([3, 4, 5].map((key) => [key, u32(1)]));
      expect(map.deleteBatch(u32(3, 9, 4), 3)).toBe(2);
      expect(map.keys()).toEqual([u32(5)]);
      expect(() => map.setBatch(u32(6, 7), u32(1, 0x7fffffff), 2)).toThrow(/\(after 1 of 2 elements\).*EINVAL/);
    });
  });
});

describeAsRoot('batches of inner maps', () => {
  const INNER = { type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 };
  const makeInner = (value) => {
    const inner = BpfMap.create(INNER);
    inner.set(u32(0), u32(value));
    return inner;
  };
  let prototype;
  const makeOuter = (type, maxEntries = 64) =>
    BpfMap.create({ type, keySize: 4, valueSize: 4, maxEntries, innerMap: prototype, name: 'outer' });
  const valueAt = (outer, key) => {
    using inner = outer.getInner(u32(key));
    return inner?.get(u32(0))?.readUInt32LE();
  };
  /** Nobody holds a descriptor of it any more. */
  const expectGone = ({ info }) => {
    expect(() => BpfMap.fromId(info.id)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  };

  beforeAll(() => {
    prototype = BpfMap.create(INNER);
  });
  afterAll(() => prototype.close());

  test.each(['array_of_maps', 'hash_of_maps'])('are set, replaced and deleted in %s', async (type) => {
    const outer = makeOuter(type);
    const inners = numbers(40).map((i) => makeInner(100 + i));
    const keys = u32(...numbers(40));
    await outer.setInnerBatch(keys, inners);
    expect(numbers(40).map((key) => valueAt(outer, key))).toEqual(numbers(40).map((i) => 100 + i));
    await outer.setInnerBatch(keys.subarray(0, 8), [inners[39], inners[38]]);
    expect([0, 1, 2].map((key) => valueAt(outer, key))).toEqual([139, 138, 102]);
    expect(await outer.deleteInnerBatch(u32(0, 50, 2, 3), 4)).toBe(3);
    expect([0, 1, 2, 3, 4].map((key) => valueAt(outer, key))).toEqual([undefined, 138, undefined, undefined, 104]);
    for (const map of [outer, ...inners]) map.close();
    expectGone(outer);
  });

  test('of nothing do nothing', async () => {
    using outer = makeOuter('array_of_maps');
    await expect(outer.setInnerBatch(Buffer.alloc(0), [])).resolves.toBeUndefined();
    await expect(outer.deleteInnerBatch(Buffer.alloc(0), 0)).resolves.toBe(0);
  });

  test('go on when all handles are closed meanwhile', async () => {
    const outer = makeOuter('array_of_maps');
    const again = BpfMap.fromId(outer.info.id);
    const inner = makeInner(7);
    const keys = u32(1, 2);
    const set = outer.setInnerBatch(keys, [inner, inner]);
    keys.fill(0xff);
    outer.close();
    inner.close();
    await set;
    expect([1, 2].map((key) => valueAt(again, key))).toEqual([7, 7]);
    const deletion = again.deleteInnerBatch(u32(1, 2), 2);
    again.close();
    expect(await deletion).toBe(2);
    expectGone(outer);
  });

  test('that break say where, and those before are in', async () => {
    using outer = makeOuter('array_of_maps', 4);
    using good = makeInner(7);
    using other = BpfMap.create({ ...INNER, valueSize: 8 });
    await expect(outer.setInnerBatch(u32(0, 1, 2), [good, other, good])).rejects.toMatchObject({
      code: 'EINVAL',
      syscall: 'BPF_MAP_UPDATE_BATCH',
      message: expect.stringContaining('outer (after 1 of 3 elements)'),
    });
    expect([0, 1, 2].map((key) => valueAt(outer, key))).toEqual([7, undefined, undefined]);
    await expect(outer.setInnerBatch(u32(3, 4), [good, good])).rejects.toMatchObject({ code: 'E2BIG' });
    expect(valueAt(outer, 3)).toBe(7);
  });

  test('names what is wrong with its arguments', () => {
    using outer = makeOuter('array_of_maps');
    expect(() => outer.setInnerBatch(u32(1), [outer, outer])).toThrow(/keys of map outer: expected 8 bytes, got 4/);
    expect(() => outer.setInnerBatch(u32(1), ['x'])).toThrow(/inners\[0\]: expected a BpfMap, got "x"/);
    expect(() => outer.setInnerBatch(u32(1), 5)).toThrow(/inners: expected an array of BpfMap, got 5/);
    expect(() => outer.deleteInnerBatch(u32(1), 2)).toThrow(/keys of map outer: expected 8 bytes, got 4/);
    expect(() => prototype.setInnerBatch(u32(1), [outer])).toThrow(/array holds no maps/);
    outer.close();
    expect(() => outer.setInnerBatch(u32(1), [prototype])).toThrow(/outer/);
  });
});

describeAsRoot('a grace period', () => {
  test('can be awaited, also several at once', async () => {
    await expect(BpfMap.rcuGracePeriod()).resolves.toBeUndefined();
    await Promise.all([BpfMap.rcuGracePeriod(), BpfMap.rcuGracePeriod(), BpfMap.rcuGracePeriod()]);
  });
});

describeAsRoot('a mapped map', () => {
  test('shares its memory with programs', () => {
    const object = loadFixture();
    const run = () => object.program('shared_verdict').testRun({ packet: Buffer.alloc(64) }).returnValue;
    const memory = object.map('shared').mmap();
    memory.store64(0, 5n);
    expect(run()).toBe(5);
    expect(object.map('shared').get(u32(0))).toEqual(u64(5));
    memory.store32(8, 3);
    expect([memory.load32(8), memory.load64(8)]).toEqual([3, 3n]);
    expect(memory.read(0, 16)).toEqual(u64(5, 3));
    expect(memory.size).toBe(32);
    object.close();
    expect(memory.closed).toBe(true);
  });

  test('reads what programs write to global variables', () => {
    const object = loadFixture();
    const memory = object.map('.bss').mmap();
    const { offset } = object.layout.variables.get('global_counter');
    object.program('mark_and_count').testRun({ packet: Buffer.alloc(64), repeat: 10 });
    expect(memory.load64(offset)).toBe(10n);
    object.close();
  });

  test('refuses what is misaligned, out of range or no bigint', () => {
    const object = loadFixture();
    const memory = object.map('shared').mmap();
    expect(() => memory.store64(4, 1n)).toThrow(RangeError);
    expect(() => memory.store64(32, 1n)).toThrow(/8 bytes at 32 are not within the 32 of the map/);
    expect(() => memory.load64(-8)).toThrow(RangeError);
    expect(() => memory.read(30, 4)).toThrow(RangeError);
    expect(() => memory.store64(0, 1)).toThrow(TypeError);
    expect(() => memory.store64(0, 1n << 64n)).toThrow(TypeError);
    object.close();
  });

  test('must be made for it', () => {
    withMap({ type: 'array', name: 'unmapped' }, (map) => {
      expect(() => map.mmap()).toThrow(/mmap map unmapped/);
    });
  });
});
