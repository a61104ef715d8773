import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { filesUnder, readText, root } from './source-files.ts';

const MOST_LINES = 300;
/** Files that may be longer, each with the reason. */
const mayBeLonger = new Map([
  ['bpf/abi.h', 'the one home of every shared number and record, half of it the specification'],
]);
const folders = ['src', 'test', 'native', 'bpf', 'scripts', 'bin'].filter((folder) => existsSync(`${root}/${folder}`));

describe('source files', () => {
  const sources = filesUnder(folders, /\.(ts|js|c|h|cc|hh)$|^(scripts|bin)\//);

  test('are found at all', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.some((file) => file.startsWith('bpf/'))).toBe(true);
  });

  test(`have no more than ${MOST_LINES} lines`, () => {
    const long = sources
      .map((file) => ({ file, lines: readText(file).trimEnd().split('\n').length }))
      .filter(({ file, lines }) => lines > MOST_LINES && !mayBeLonger.has(file))
      .map(({ file, lines }) => `${file} has ${lines} lines: split it by topic`);
    expect(long).toEqual([]);
  });

  test('of the program and its tests are named in kebab-case', () => {
    const others = filesUnder(
      folders.filter((folder) => folder === 'src' || folder === 'test'),
      /\.ts$/,
    ).filter((file) => !/(^|\/)[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/.test(file));
    expect(others).toEqual([]);
  });
});

test('the pure stages read no clock and set no timer', () => {
  const clock = /\b(Date\.now|new Date\(\)|performance\.now|setTimeout|setInterval|setImmediate)\b/;
  const readers = filesUnder(['src/model', 'src/compile'], /\.ts$/).filter((file) => clock.test(readText(file)));
  expect(readers).toEqual([]);
});

test('tests have one patience with what must come, long enough for a loaded machine', () => {
  const own = /\bvi\.wait(For|Until)\(|\.poll\([^;]*?\{[^{}]*\btimeout:/;
  const waiting = filesUnder(['test'], /\.ts$/).filter((file) => own.test(readText(file)));
  expect(waiting).toEqual(['test/support/eventually.ts']);
});
