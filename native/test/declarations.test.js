import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import * as library from '../lib/index.js';

const exported = new Map(Object.entries(library));
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
      const holder = isStatic ? exported.get(name) : exported.get(name).prototype;
      expect([`${name}.${member}`, member in holder]).toEqual([`${name}.${member}`, true]);
    }
  }
});

test('the README names every export', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(Object.keys(library).filter((name) => !readme.includes(`\`${name}`))).toEqual([]);
});

test('declarations hold in a strict program', () => {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  const tsc = join(dirname(manifest), JSON.parse(readFileSync(manifest, 'utf8')).bin.tsc);
  const project = fileURLToPath(new URL('types', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', project], { encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});
