// A map's memory, shared with the programs: aligned atomic words.
import { checkInteger, checkUint32 } from './check.js';
import { Handle, native, requireInternal } from './handle.js';

export class MappedMap extends Handle {
  #size;

  constructor(token, mapped, map) {
    requireInternal(token, 'MappedMap');
    super(mapped, `the memory of map ${map.name}`, map);
    this.#size = mapped.size();
  }

  get size() {
    return this.#size;
  }

  load64(offset) {
    return native(this).load64(this.#aligned(offset, 8));
  }

  store64(offset, value) {
    if (typeof value !== 'bigint' || value < 0n || value >= 1n << 64n) {
      throw new TypeError(`value: expected a bigint from 0 to 2^64 - 1, got ${String(value)}`);
    }
    native(this).store64(this.#aligned(offset, 8), value);
  }

  load32(offset) {
    return native(this).load32(this.#aligned(offset, 4));
  }

  store32(offset, value) {
    native(this).store32(this.#aligned(offset, 4), checkUint32('value', value));
  }

  read(offset, length) {
    checkInteger('length', length, 0, 0xffffffff);
    return native(this).read(this.#within(offset, length), length);
  }

  #aligned(offset, width) {
    if (offset % width !== 0) throw new RangeError(`offset: ${offset} is no multiple of ${width}`);
    return this.#within(offset, width);
  }

  #within(offset, width) {
    if (!Number.isInteger(offset) || offset < 0 || offset + width > Math.min(this.#size, 0xffffffff)) {
      throw new RangeError(`offset: ${width} bytes at ${offset} are not within the ${this.#size} of the map`);
    }
    return offset;
  }
}
