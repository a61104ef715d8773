import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { root } from './source-files.ts';

describe('bin/selvedge', () => {
  let checkout: string;

  // A checkout in small: the launcher, and a main.ts that tells what it was given.
  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'selvedge test '));
    mkdirSync(join(checkout, 'bin'));
    mkdirSync(join(checkout, 'src'));
    copyFileSync(join(root, 'bin/selvedge'), join(checkout, 'bin/selvedge'));
    writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(checkout, 'src/main.ts'),
      'const given: string[] = process.argv.slice(2);\nconsole.log(JSON.stringify(given));\nprocess.exit(7);\n',
    );
  });
  afterEach(() => rmSync(checkout, { recursive: true }));

  function setUp(): void {
    mkdirSync(join(checkout, 'node_modules/.bin'), { recursive: true });
    symlinkSync(process.execPath, join(checkout, 'node_modules/.bin/node'));
  }

  // No Node on PATH: the launcher must find the project's own.
  const run = (command: string, ...args: string[]) =>
    spawnSync(command, args, { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });

  test('starts src/main.ts, quietly, with its arguments and its exit code', () => {
    setUp();
    const { stdout, stderr, status } = run(join(checkout, 'bin/selvedge'), 'lab', '--name', 'a b', '');
    expect({ given: JSON.parse(stdout), stderr, status }).toEqual({
      given: ['lab', '--name', 'a b', ''],
      stderr: '',
      status: 7,
    });
  });

  test('may be linked to from elsewhere', () => {
    setUp();
    mkdirSync(join(checkout, 'elsewhere'));
    symlinkSync('../bin/selvedge', join(checkout, 'elsewhere/first'));
    symlinkSync(join(checkout, 'elsewhere/first'), join(checkout, 'elsewhere/second'));
    expect(run(join(checkout, 'elsewhere/second'), 'x').stdout).toBe('["x"]\n');
  });

  test('says what to do in a checkout that is not set up', () => {
    const { stderr, status } = run(join(checkout, 'bin/selvedge'));
    expect(status).toBe(1);
    expect(stderr).toContain('npm run setup');
  });
});
