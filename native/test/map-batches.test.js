import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfMap, features, mapFlags } from '../lib/index.js';
import { u32, u64 } from './support/fixture.js';
import { describeAsRoot } from './support/privilege.js';
import { numbers, sorted, withMap } from './support/with-map.js';

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
