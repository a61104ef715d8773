import { expect, test } from 'vitest';
import { readText } from './source-files.ts';

const { scripts, bin } = JSON.parse(readText('package.json'));

test('CI runs the test command that the README gives', () => {
  expect(readText('.ci/run')).toMatch(/^exec npm test </m);
  expect(readText('README.md')).toMatch(/^\s*npm test$|`npm test`/m);
});

test('the commands for a fresh machine set it up by themselves', () => {
  expect(scripts.demo).toMatch(/^scripts\/setup && /);
  expect(readText(scripts.test)).toContain('\nscripts/setup ');
});

test("the command is the launcher, which starts with the project's own Node", () => {
  expect(bin).toEqual({ selvedge: 'bin/selvedge' });
  expect(readText('bin/selvedge')).toMatch(/^#!\/bin\/sh\n/);
});
