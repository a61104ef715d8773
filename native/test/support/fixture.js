// The BPF objects of test/fixtures, compiled by clang into a folder that goes with the test file.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { BpfObject } from '../../lib/index.js';

const sources = fileURLToPath(new URL('../fixtures', import.meta.url));
const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
let folder;
const compiled = new Map();

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** A temporary folder that everybody can read. */
export function temporaryFolder() {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-`));
    chmodSync(folder, 0o755);
  }
  return folder;
}

/** Path of the object made of `NAME.bpf.c`. */
export function compileFixture(name) {
  if (!compiled.has(name)) {
    const output = join(temporaryFolder(), `${name}.bpf.o`);
    const flags = [
      '-O2',
      '-g',
      '-target',
      'bpf',
      '-Wall',
      '-Werror',
      '-idirafter',
      `/usr/include/${machine}-linux-gnu`,
    ];
    execFileSync('clang', [...flags, '-c', join(sources, `${name}.bpf.c`), '-o', output], { stdio: 'pipe' });
    compiled.set(name, output);
  }
  return compiled.get(name);
}

/** The object of fixture.bpf.c, loaded; `adjust` sees it before. */
export function loadFixture(adjust = () => {}) {
  const object = BpfObject.open(compileFixture('fixture'));
  adjust(object);
  object.load();
  return object;
}

/** A Buffer of the machine's own unsigned 32-bit words. */
export const u32 = (...words) => Buffer.from(Uint32Array.from(words).buffer);
export const u64 = (...words) => Buffer.from(BigUint64Array.from(words, BigInt).buffer);
