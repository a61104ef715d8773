import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as library from '../lib/index.js';
import { features, isBpffs, mountBpffs, possibleCpus, tickNanoseconds } from '../lib/index.js';
import { describeAsRoot } from './support/privilege.js';

const folder = new URL('../lib/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), 'utf8');

/** Values that a declaration file exports: classes, functions, constants. */
function declaredValues(text) {
  return [...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|function|const) (\w+)/gm)].map(
    ([, name]) => name,
  );
}

test('declarations and code export the same', async () => {
  // Handle is declared for its type alone; the raw addon and the checks are nobody's business.
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.d.ts') && name !== 'index.d.ts')) {
    if (name === 'handle.d.ts' || name === 'layout.d.ts') continue;
    const module = await import(new URL(name.replace('.d.ts', '.js'), folder).href);
    expect([name, Object.keys(module).sort()]).toEqual([name, declaredValues(read(name)).sort()]);
  }
  const index = [...read('index.d.ts').matchAll(/^export (?!type)(?:\* as (\w+)|\{([^}]*)\})/gm)].flatMap(
    ([, space, list]) =>
      space
        ? [space]
        : list
            .split(',')
            .map((name) => name.trim())
            .filter((name) => name && !name.startsWith('type ')),
  );
  expect(Object.keys(library).sort()).toEqual(index.sort());
});

test('methods that are declared exist', () => {
  for (const name of ['BpfObject', 'BpfMap', 'MappedMap', 'BpfProgram', 'TcLink', 'RingBuffer', 'PacketSocket']) {
    const file = name.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase();
    const body = new RegExp(`class ${name} [^{]*\\{([\\s\\S]*?)\\n\\}`).exec(read(`${file}.d.ts`))[1];
    const members = [...body.matchAll(/^ {2}(static )?(?:readonly )?(\w+)[(:]/gm)].filter(
      ([, , name]) => name !== 'constructor',
    );
    expect(members.length).toBeGreaterThan(2);
    for (const [, isStatic, member] of members) {
      const holder = isStatic ? library[name] : library[name].prototype;
      expect([`${name}.${member}`, member in holder]).toEqual([`${name}.${member}`, true]);
    }
  }
});

test('the README names every export', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(Object.keys(library).filter((name) => !readme.includes(`\`${name}`))).toEqual([]);
});

test('facts about this machine', () => {
  expect(possibleCpus()).toBeGreaterThanOrEqual(1);
  expect(1e9 / tickNanoseconds()).toBeGreaterThanOrEqual(24); // HZ: 24 to 1200 in all kernels
  expect(features.libbpfVersion()).toMatch(/^\d+\.\d+$/);
  expect(isBpffs('/')).toBe(false);
  expect(isBpffs('/nonexistent')).toBe(false);
});

describeAsRoot('the bpffs', () => {
  test('is mounted where there is none', () => {
    mountBpffs('/sys/fs/bpf');
    expect(isBpffs('/sys/fs/bpf')).toBe(true);
    expect(mountBpffs('/sys/fs/bpf')).toBe(false);
  });

  test('features are asked of the kernel', () => {
    expect(features.hasTcx()).toBeTypeOf('boolean');
    expect(features.hasBatch('hash')).toBe(true);
    expect(() => features.hasBatch('no_such_type')).toThrow(TypeError);
  });
});
