import { expect, test } from 'vitest';
import { readText } from './source-files.ts';

type Locked = {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
};

const manifest = JSON.parse(readText('package.json'));
const locked = Object.entries<Locked>(JSON.parse(readText('package-lock.json')).packages);
const installed = locked.filter(([path, { link }]) => path.includes('node_modules/') && !link);

test('the lock file names no registry, so that every machine may use its own', () => {
  expect(installed.length).toBeGreaterThan(50);
  expect(locked.filter(([, { resolved }]) => resolved?.includes('://')).map(([path]) => path)).toEqual([]);
});

test('the lock file pins every package by its hash', () => {
  expect(installed.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
});

test.each([
  ['', 'package.json'],
  ['native', 'native/package.json'],
])('the lock file knows what "%s" depends on, as its %s has it', (path, file) => {
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;
  const wanted = JSON.parse(readText(file));
  const known = new Map(locked).get(path) as Record<string, unknown>;
  for (const kind of kinds) expect(known[kind], kind).toEqual(wanted[kind]);
});

test('the lock file has the same Node 24 for both architectures, and its compiled tools too', () => {
  const versions = ['x64', 'arm64'].map((cpu) => manifest.optionalDependencies[`node-linux-${cpu}`]);
  expect(versions[0]).toMatch(/^24\.\d+\.\d+$/);
  expect(versions[1]).toBe(versions[0]);
  const paths = new Set(locked.map(([path]) => path));
  for (const cpu of ['x64', 'arm64']) {
    expect(paths).toContain(`node_modules/node-linux-${cpu}`);
    expect(paths).toContain(`node_modules/@biomejs/cli-linux-${cpu}`);
    expect(paths).toContain(`node_modules/@rolldown/binding-linux-${cpu}-gnu`);
  }
});

test('the tests run on the locked Node', () => {
  expect(process.versions.node).toBe(manifest.optionalDependencies[`node-linux-${process.arch}`]);
});
