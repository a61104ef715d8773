import { execFileSync, spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BpfError, BpfMap, BpfObject } from '../lib/index.js';
import { compileFixture, loadFixture, temporaryFolder, u32 } from './support/fixture.js';
import { describeAsRoot } from './support/privilege.js';

const library = new URL('../lib/index.js', import.meta.url).pathname;
const clangVersion = Number(/version (\d+)/.exec(execFileSync('clang', ['--version'], { encoding: 'utf8' }))[1]);

function thrownBy(fn) {
  try {
    fn();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** The innermost folder around a path that other users cannot enter. */
function closedFolder(path) {
  if ((statSync(path).mode & 0o001) === 0) return path;
  return path === dirname(path) ? undefined : closedFolder(dirname(path));
}

describe('opening an object', () => {
  test('needs no privilege', (context) => {
    const closed = closedFolder(import.meta.dirname);
    if (process.geteuid() === 0 && closed) context.skip(`nobody cannot enter ${closed}`);
    const program = `
      import { BpfObject } from ${JSON.stringify(library)};
      const object = BpfObject.open(${JSON.stringify(compileFixture('fixture'))});
      console.log(process.geteuid(), object.layout.structs.get('record').size, object.maps.get('counts').maxEntries);`;
    // Root drops to nobody; anyone else is unprivileged already.
    const user = process.geteuid() === 0 ? { uid: 65534, gid: 65534 } : {};
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      ...user,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toBe(`${user.uid ?? process.geteuid()} 56 100\n`);
  });

  test('names a file that is not there', () => {
    const error = thrownBy(() => BpfObject.open('/nonexistent.bpf.o'));
    expect(error).toBeInstanceOf(BpfError);
    expect(error).toMatchObject({ name: 'BpfError', code: 'ENOENT', errno: 2, syscall: 'bpf_object__open' });
    expect(error.message).toContain('/nonexistent.bpf.o');
  });

  test('says what libbpf has against a file that is no object', () => {
    const path = join(temporaryFolder(), 'text.o');
    writeFileSync(path, 'not an ELF file');
    const error = thrownBy(() => BpfObject.open(path));
    expect(error).toBeInstanceOf(BpfError);
    expect(error.log).toMatch(/ELF/);
  });

  test('names arguments that are wrong', () => {
    expect(() => BpfObject.open()).toThrow(new TypeError('path: expected a non-empty string, got undefined'));
    expect(() => BpfObject.open('x', { kernelbtf: 'y' })).toThrow(/unknown option "kernelbtf"/);
    expect(() => new BpfObject('x')).toThrow(/no public constructor/);
  });
});

describe('the layout', () => {
  const { layout } = BpfObject.open(compileFixture('fixture'));
  const record = layout.structs.get('record');
  const member = (name) => record.members.find((one) => one.name === name);

  test('has the offsets, sizes and kinds of members', () => {
    expect(record).toMatchObject({ name: 'record', kind: 'struct', size: 56 });
    expect(member('big')).toEqual({
      name: 'big',
      offset: 0,
      kind: 'uint',
      size: 8,
      bigEndian: false,
      typeName: '__u64',
    });
    expect(member('negative')).toMatchObject({ kind: 'int', offset: 8, size: 4 });
    expect(member('flag')).toMatchObject({ kind: 'bool', size: 1 });
    expect(member('color')).toMatchObject({ kind: 'enum', size: 4, enum: 'color', signed: true });
  });

  test('tells byte order by the names of types, through arrays and nested structs', () => {
    expect(member('ports')).toMatchObject({ kind: 'array', count: 3, size: 6, bigEndian: true });
    expect(member('ports').element).toMatchObject({ kind: 'uint', size: 2, bigEndian: true, typeName: '__be16' });
    expect(member('inner')).toMatchObject({ kind: 'struct', struct: 'inner_record', offset: 24, size: 12 });
    const inner = layout.structs.get('inner_record').members.map(({ name, bigEndian }) => [name, bigEndian]);
    expect(inner).toEqual([
      ['address', true],
      ['port', true],
      ['bytes', false],
    ]);
  });

  test('names an anonymous struct after its typedef and inlines one without any name', () => {
    expect(member('pair')).toMatchObject({ kind: 'struct', struct: 'pair_t' });
    expect(layout.structs.get('pair_t').size).toBe(4);
    const union = member('');
    expect(union).toMatchObject({ kind: 'union', size: 4, offset: 48 });
    expect(union.members.map(({ name }) => name)).toEqual(['word', 'octets']);
  });

  test('has bit fields', () => {
    expect(member('low')).toMatchObject({ offset: 52, bits: { offset: 416, size: 3 } });
    expect(member('high').bits).toEqual({ offset: 419, size: 5 });
  });

  test('has enums, also negative ones', () => {
    expect([...layout.enums.get('color')]).toEqual([
      ['COLOR_RED', 1],
      ['COLOR_GREEN', 7],
      ['COLOR_NEGATIVE', -3],
    ]);
  });

  test('has an enum of 64 bits exactly or, where the compiler cut it, not at all', () => {
    const wide = layout.enums.get('wide');
    if (clangVersion < 15) expect(wide).toBeUndefined();
    else expect(wide.get('WIDE_HUGE')).toBe(0x123456789abcdefn);
  });

  test('has global variables with their sections', () => {
    expect(layout.variables.get('wanted_mark')).toMatchObject({ section: '.rodata', size: 4, kind: 'uint' });
    expect(layout.variables.get('global_counter')).toMatchObject({ section: '.bss', offset: 0, size: 8 });
    expect(layout.variables.get('anchor')).toMatchObject({ struct: 'record' });
  });
});

describe('before loading', () => {
  test('.rodata variables are read and set by name', () => {
    const object = BpfObject.open(compileFixture('fixture'));
    expect(object.rodata('wanted_mark').bytes).toEqual(u32(11));
    object.setRodata('wanted_mark', u32(99));
    expect(object.rodata('wanted_mark').bytes).toEqual(u32(99));
    expect(object.rodata('blob')).toMatchObject({ kind: 'array', count: 4, bytes: Buffer.from([1, 2, 3, 4]) });
    expect(() => object.setRodata('wanted_mark', Buffer.alloc(3))).toThrow(
      new TypeError('rodata wanted_mark: expected 4 bytes, got 3'),
    );
    expect(() => object.setRodata('global_counter', u32(1, 0))).toThrow(/no const volatile global global_counter/);
  });

  test('maps and programs are listed, and sizes can be changed', () => {
    const object = BpfObject.open(compileFixture('fixture'));
    object.setMaxEntries('counts', 7);
    object.setMapFlags('counts', 1);
    object.setInnerMaxEntries('tables', 5);
    expect(object.maps.get('counts')).toEqual({
      name: 'counts',
      type: 'hash',
      keySize: 4,
      valueSize: 8,
      maxEntries: 7,
      flags: 1,
    });
    expect(object.maps.get('tables').inner).toMatchObject({ type: 'array', maxEntries: 5 });
    expect([...object.maps.keys()]).toEqual(expect.arrayContaining(['.rodata', '.bss', 'events']));
    expect(object.programs.get('drop')).toEqual({ name: 'drop', section: 'tc', type: 'sched_cls', autoload: true });
    expect(() => object.setMaxEntries('count', 1)).toThrow(/none called count; it has counts, /);
    expect(() => object.setInnerMaxEntries('counts', 1)).toThrow(/declares no inner map/);
    expect(() => object.map('counts')).toThrow(/is not loaded yet/);
  });
});

describeAsRoot('loading', () => {
  test('gives the verifier’s log in the error', () => {
    const object = BpfObject.open(compileFixture('rejected'));
    const error = thrownBy(() => object.load());
    expect(error).toBeInstanceOf(BpfError);
    expect(error).toMatchObject({ code: 'EACCES', syscall: 'bpf_object__load' });
    expect(error.log).toMatch(/invalid access to packet|invalid mem access/);
    expect(error.message).toContain('rejected.bpf.o');
    object.close();
  });

  test('uses what was set before', () => {
    const object = loadFixture((object) => {
      object.setRodata('wanted_mark', u32(77));
      object.setMaxEntries('counts', 3);
      object.setAutoload('drop', false);
    });
    const { context } = object.program('mark_and_count').testRun({ packet: Buffer.alloc(64), context: {} });
    expect(context.mark).toBe(77);
    expect(object.map('counts').info.maxEntries).toBe(3);
    const error = thrownBy(() => object.program('drop'));
    expect(error).toBeInstanceOf(BpfError);
    expect(error.message).toContain('drop (not loaded)');
    expect(() => object.setMaxEntries('counts', 4)).toThrow(/is loaded already/);
    expect(() => object.load()).toThrow(/is loaded already/);
    object.close();
  });

  test('gives inner maps another size', () => {
    const object = loadFixture((object) => object.setInnerMaxEntries('tables', 5));
    const table = (maxEntries) => BpfMap.create({ type: 'array', keySize: 4, valueSize: 4, maxEntries });
    const [declared, changed] = [table(2), table(5)];
    object.map('tables').setInner(u32(0), changed);
    expect(() => object.map('tables').setInner(u32(1), declared)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    for (const handle of [object, declared, changed]) handle.close();
  });

  test('takes over an existing map', () => {
    const first = loadFixture();
    first.map('counts').set(u32(5), Buffer.alloc(8, 1));
    const second = loadFixture((object) => object.reuseMap('counts', first.map('counts')));
    expect(second.map('counts').info.id).toBe(first.map('counts').info.id);
    first.close();
    expect(second.map('counts').get(u32(5))).toEqual(Buffer.alloc(8, 1));
    second.close();
  });

  test('refuses an existing map of another shape', () => {
    const other = BpfMap.create({ type: 'hash', keySize: 8, valueSize: 8, maxEntries: 100 });
    const object = BpfObject.open(compileFixture('fixture'));
    expect(() => {
      object.reuseMap('counts', other);
      object.load();
    }).toThrow(BpfError);
    object.close();
    other.close();
  });

  test('hands out the same handle every time, closed with the object', () => {
    const object = loadFixture();
    const map = object.map('counts');
    const program = object.program('drop');
    expect(object.map('counts')).toBe(map);
    expect(object.program('drop')).toBe(program);
    object.close();
    expect([map.closed, program.closed, object.closed]).toEqual([true, true, true]);
  });
});
