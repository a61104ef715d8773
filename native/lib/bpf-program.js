// One loaded BPF program: test runs, its instructions, pins.
import { rmSync } from 'node:fs';
import { addon } from './addon.js';
import { checkBytes, checkInteger, checkOptions, checkString, checkUint32 } from './check.js';
import { Handle, internal, native, requireInternal } from './handle.js';

const CONTEXT_WORDS = ['mark', 'priority', 'ifindex', 'ingressIfindex', 'wireLength', 'gsoSegments', 'gsoSize'];

export class BpfProgram extends Handle {
  #name;

  constructor(token, program, owner) {
    requireInternal(token, 'BpfProgram');
    const { label } = program.info();
    super(program, `program ${label}`, owner);
    this.#name = label;
  }

  static openPinned(path) {
    return new BpfProgram(internal, addon.Program.openPinned(checkString('path', path)));
  }

  static fromId(id) {
    return new BpfProgram(internal, addon.Program.fromId(checkInteger('id', id, 1, 0xffffffff)));
  }

  get name() {
    return this.#name;
  }

  get info() {
    const { label: _, ...info } = native(this).info();
    return info;
  }

  testRun(options) {
    const program = native(this);
    checkOptions('options', options, ['packet', 'repeat', 'context', 'dataOut']);
    const { packet, repeat = 1, context, dataOut } = options;
    checkBytes('packet', packet);
    checkInteger('repeat', repeat, 1, 0x7fffffff);
    if (context !== undefined) checkContext(context);
    const room = dataOut === undefined ? packet.length + 512 : checkInteger('dataOut', dataOut, 0, 0x7fffffff);
    return program.testRun(packet, repeat, room, context);
  }

  xlated() {
    return native(this).xlated();
  }

  pin(path) {
    native(this).pin(checkString('path', path));
  }

  unpin(path) {
    native(this);
    rmSync(checkString('path', path), { force: true });
  }
}

function checkContext(context) {
  checkOptions('context', context, [...CONTEXT_WORDS, 'cb', 'tstamp']);
  for (const name of CONTEXT_WORDS) {
    if (context[name] !== undefined) checkUint32(`context.${name}`, context[name]);
  }
  const { cb, tstamp } = context;
  if (cb !== undefined) {
    if (!Array.isArray(cb) || cb.length !== 5) throw new TypeError('context.cb: expected five numbers');
    cb.forEach((word, i) => {
      checkUint32(`context.cb[${i}]`, word);
    });
  }
  if (tstamp !== undefined && typeof tstamp !== 'bigint') {
    throw new TypeError(`context.tstamp: expected a bigint, got ${String(tstamp)}`);
  }
}
