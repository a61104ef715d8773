/** The packet path with changes, compiled anew: what another version of this program would bring. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../../src/child-process.ts';

const SOURCES = new URL('../../../bpf', import.meta.url).pathname;
const INCLUDE = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' } as const;

/** A line of a source file -> another one. */
export interface Change {
  readonly file: string;
  readonly from: RegExp;
  readonly to: string;
}

export class OtherObjects implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-objects-`));

  /** @returns its path @throws {CommandError} */
  async compile(name: string, changes: readonly Change[]): Promise<string> {
    const sources = join(this.#folder, name);
    cpSync(SOURCES, sources, { recursive: true });
    for (const { file, from, to } of changes) {
      const text = readFileSync(join(sources, file), 'utf8');
      if (!from.test(text)) throw new Error(`${file} has no ${from}`);
      writeFileSync(join(sources, file), text.replace(from, to));
    }
    const object = join(this.#folder, `${name}.o`);
    const include = `/usr/include/${INCLUDE[arch() as keyof typeof INCLUDE]}`;
    const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-std=gnu11', '-idirafter', include];
    await run('clang', [...flags, '-c', join(sources, 'policy.bpf.c'), '-o', object]);
    return object;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
