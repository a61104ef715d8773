// One ELF object with BPF programs: open, adjust, load, use.
import { addon } from './addon.js';
import { BpfMap } from './bpf-map.js';
import { BpfProgram } from './bpf-program.js';
import {
  checkBoolean,
  checkBytes,
  checkInstance,
  checkInteger,
  checkOptions,
  checkString,
  checkUint32,
} from './check.js';
import { Handle, internal, native, requireInternal } from './handle.js';
import { buildLayout } from './layout.js';

export class BpfObject extends Handle {
  #path;
  #layout;
  #loaded = false;
  #handles = new Map();

  constructor(token, object, path) {
    requireInternal(token, 'BpfObject');
    super(object, `BPF object ${path}`);
    this.#path = path;
  }

  static open(path, options = {}) {
    checkString('path', path);
    checkOptions('options', options, ['kernelBtf']);
    const kernelBtf = options.kernelBtf === undefined ? '' : checkString('kernelBtf', options.kernelBtf);
    return new BpfObject(internal, new addon.Object(path, kernelBtf), path);
  }

  get path() {
    return this.#path;
  }

  get loaded() {
    return this.#loaded;
  }

  get layout() {
    this.#layout ??= buildLayout(native(this).types());
    return this.#layout;
  }

  get maps() {
    return new Map(
      native(this)
        .maps()
        .map((spec) => [spec.name, spec]),
    );
  }

  get programs() {
    return new Map(
      native(this)
        .programs()
        .map((spec) => [spec.name, spec]),
    );
  }

  rodata(variable) {
    const { name: _, ...described } = this.#rodata(variable);
    return { ...described, bytes: native(this).sectionBytes(described.section, described.offset, described.size) };
  }

  setRodata(variable, bytes) {
    this.#requireUnloaded('setRodata');
    const { section, offset, size } = this.#rodata(variable);
    native(this).setSectionBytes(section, offset, checkBytes(`rodata ${variable}`, bytes, size));
  }

  #rodata(name) {
    const found = this.layout.variables.get(checkString('variable', name));
    if (found === undefined || !/^\.rodata(\.|$)/.test(found.section)) {
      throw new TypeError(`variable: ${this.#path} has no const volatile global ${name}`);
    }
    return found;
  }

  setMaxEntries(map, maxEntries) {
    const spec = this.#mapBeforeLoad('setMaxEntries', map);
    native(this).setMaxEntries(spec.name, checkInteger('maxEntries', maxEntries, 1, 0xffffffff));
  }

  setInnerMaxEntries(map, maxEntries) {
    const spec = this.#mapBeforeLoad('setInnerMaxEntries', map);
    if (spec.inner === undefined) throw new TypeError(`map: ${map} declares no inner map`);
    native(this).setInnerMaxEntries(map, checkInteger('maxEntries', maxEntries, 1, 0xffffffff));
  }

  setMapFlags(map, flags) {
    const spec = this.#mapBeforeLoad('setMapFlags', map);
    native(this).setMapFlags(spec.name, checkUint32('flags', flags));
  }

  reuseMap(map, existing) {
    const spec = this.#mapBeforeLoad('reuseMap', map);
    native(this).reuseMap(spec.name, native(checkInstance('existing', existing, BpfMap)));
  }

  setAutoload(program, on) {
    this.#requireUnloaded('setAutoload');
    native(this).setAutoload(this.#known('program', this.programs, program).name, checkBoolean('on', on));
  }

  load() {
    this.#requireUnloaded('load');
    native(this).load();
    this.#loaded = true;
  }

  map(name) {
    return this.#handle('map', name, (object) => new BpfMap(internal, object.map(name), this));
  }

  program(name) {
    return this.#handle('program', name, (object) => new BpfProgram(internal, object.program(name), this));
  }

  #handle(what, name, open) {
    const key = `${what} ${name}`;
    const existing = this.#handles.get(key);
    if (existing !== undefined && !existing.closed) return existing;
    this.#known(what, what === 'map' ? this.maps : this.programs, name);
    if (!this.#loaded) throw new Error(`${what} ${name}: ${this.#path} is not loaded yet`);
    const handle = open(native(this));
    this.#handles.set(key, handle);
    return handle;
  }

  #known(what, specs, name) {
    const spec = specs.get(checkString(what, name));
    if (spec === undefined) {
      throw new TypeError(`${what}: ${this.#path} has none called ${name}; it has ${[...specs.keys()].join(', ')}`);
    }
    return spec;
  }

  #mapBeforeLoad(method, map) {
    this.#requireUnloaded(method);
    return this.#known('map', this.maps, map);
  }

  #requireUnloaded(method) {
    native(this);
    if (this.#loaded) throw new Error(`${method}: ${this.#path} is loaded already`);
  }
}
