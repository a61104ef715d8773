import { expect, test } from 'vitest';
import { BpfError, BpfMap, mapFlags, possibleCpus } from '../lib/index.js';
import { loadFixture, u32, u64 } from './support/fixture.js';
import { pinPath } from './support/namespaces.js';
import { describeAsRoot } from './support/privilege.js';

import { numbers, sorted, withMap } from './support/with-map.js';

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
