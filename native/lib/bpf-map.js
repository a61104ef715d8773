// One BPF map: elements as bytes, one by one or in batches, memory mapping, pins.
import { rmSync } from 'node:fs';
import { addon } from './addon.js';
import {
  checkBytes,
  checkInstance,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  checkUint32,
} from './check.js';
import { Handle, internal, native, requireInternal } from './handle.js';
import { MappedMap } from './mapped-map.js';

/** Values of the kernel's ABI: enum bpf_map_create flags in linux/bpf.h. */
export const mapFlags = Object.freeze({
  noPrealloc: 0x1,
  noCommonLru: 0x2,
  numaNode: 0x4,
  rdonly: 0x8,
  wronly: 0x10,
  zeroSeed: 0x40,
  rdonlyProg: 0x80,
  wronlyProg: 0x100,
  mmapable: 0x400,
  innerMap: 0x1000,
});

const UPDATE_FLAGS = { any: 0, noexist: 1, exist: 2 };
const MAP_IN_MAP = ['array_of_maps', 'hash_of_maps'];
const CREATE_OPTIONS = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags', 'name', 'innerMap'];

export class BpfMap extends Handle {
  #info;
  #name;
  #valueBytes;

  constructor(token, map, owner) {
    requireInternal(token, 'BpfMap');
    const { label, valueBytes, ...info } = map.info();
    super(map, `map ${label || `with id ${info.id}`}`, owner);
    this.#info = Object.freeze(info);
    this.#name = label;
    this.#valueBytes = valueBytes;
  }

  static create(options) {
    checkOptions('options', options, CREATE_OPTIONS);
    const { type, keySize, valueSize, maxEntries, flags = 0, name = '', innerMap } = options;
    if (name !== '' && !/^[\w.]{1,15}$/.test(name)) {
      throw new TypeError(`name: expected at most 15 characters of A-Z a-z 0-9 _ . but got ${JSON.stringify(name)}`);
    }
    const map = addon.Map.create(
      checkString('type', type),
      checkUint32('keySize', keySize),
      checkUint32('valueSize', valueSize),
      checkUint32('maxEntries', maxEntries),
      checkUint32('flags', flags),
      name,
      innerMap === undefined ? undefined : native(checkInstance('innerMap', innerMap, BpfMap)),
    );
    return new BpfMap(internal, map);
  }

  static openPinned(path) {
    return new BpfMap(internal, addon.Map.openPinned(checkString('path', path)));
  }

  static fromId(id) {
    return new BpfMap(internal, addon.Map.fromId(checkInteger('id', id, 1, 0xffffffff)));
  }

  static rcuGracePeriod() {
    return addon.rcuGracePeriod();
  }

  get info() {
    return this.#info;
  }

  get name() {
    return this.#name;
  }

  get valueBytes() {
    return this.#valueBytes;
  }

  get(key) {
    return native(this).get(this.#key(key));
  }

  set(key, value, flag = 'any') {
    checkOneOf('flag', flag, Object.keys(UPDATE_FLAGS));
    const map = native(this);
    map.set(this.#key(key), checkBytes(this.#about('value'), value, this.#valueBytes), UPDATE_FLAGS[flag]);
  }

  delete(key) {
    return native(this).delete(this.#key(key));
  }

  keys() {
    const joined = native(this).keys();
    const size = this.#info.keySize;
    return Array.from({ length: joined.length / size }, (_, i) => joined.subarray(i * size, (i + 1) * size));
  }

  entries() {
    const { count, keys, values } = native(this).entries();
    const keySize = this.#info.keySize;
    const valueSize = this.#valueBytes;
    return Array.from({ length: count }, (_, i) => [
      keys.subarray(i * keySize, (i + 1) * keySize),
      values.subarray(i * valueSize, (i + 1) * valueSize),
    ]);
  }

  entriesBatch() {
    return native(this).entries();
  }

  setBatch(keys, values, count) {
    const map = native(this);
    checkUint32('count', count);
    checkBytes(this.#about('keys'), keys, count * this.#info.keySize);
    checkBytes(this.#about('values'), values, count * this.#valueBytes);
    map.setBatch(keys, values, count);
  }

  deleteBatch(keys, count) {
    const map = native(this);
    checkUint32('count', count);
    return map.deleteBatch(checkBytes(this.#about('keys'), keys, count * this.#info.keySize), count);
  }

  setInner(key, inner) {
    const map = native(this);
    this.#requireMapInMap();
    map.setInner(this.#key(key), native(checkInstance('inner', inner, BpfMap)));
  }

  setInnerBatch(keys, inners) {
    const map = native(this);
    this.#requireMapInMap();
    if (!Array.isArray(inners)) throw new TypeError(`inners: expected an array of BpfMap, got ${String(inners)}`);
    const maps = inners.map((inner, i) => native(checkInstance(`inners[${i}]`, inner, BpfMap)));
    return map.setInnerBatch(checkBytes(this.#about('keys'), keys, maps.length * this.#info.keySize), maps);
  }

  deleteInnerBatch(keys, count) {
    const map = native(this);
    this.#requireMapInMap();
    checkUint32('count', count);
    return map.deleteInnerBatch(checkBytes(this.#about('keys'), keys, count * this.#info.keySize), count);
  }

  getInner(key) {
    const map = native(this);
    this.#requireMapInMap();
    const inner = map.getInner(this.#key(key));
    return inner && new BpfMap(internal, inner);
  }

  mmap() {
    return new MappedMap(internal, native(this).mmap(), this);
  }

  pin(path) {
    native(this).pin(checkString('path', path));
  }

  unpin(path) {
    native(this);
    rmSync(checkString('path', path), { force: true });
  }

  #key(key) {
    return checkBytes(this.#about('key'), key, this.#info.keySize);
  }

  #about(what) {
    return `${what} of map ${this.#name}`;
  }

  #requireMapInMap() {
    if (!MAP_IN_MAP.includes(this.#info.type))
      throw new TypeError(`map ${this.#name}: ${this.#info.type} holds no maps`);
  }
}
