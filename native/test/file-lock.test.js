import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BpfError, tryLock } from '../lib/index.js';

const library = new URL('../lib/index.js', import.meta.url).href;

describe('a lock', () => {
  let path;
  const fds = [];
  const open = () => fds[fds.push(openSync(path, 'r')) - 1];
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'selvedge-lock-'));
  });
  afterEach(() => {
    for (const fd of fds.splice(0)) closeSync(fd);
    rmdirSync(path);
  });

  test('is had by one opening at a time, until it is closed', () => {
    const [one, two] = [open(), open()];
    expect([tryLock(one), tryLock(one), tryLock(two)]).toEqual([true, true, false]);
    closeSync(fds.shift());
    expect(tryLock(two)).toBe(true);
  });

  test('ends with a process that is killed, and is not had by what that has started', async () => {
    const script = `
      import { openSync } from 'node:fs';
      import { spawn } from 'node:child_process';
      import { tryLock } from ${JSON.stringify(library)};
      const locked = tryLock(openSync(${JSON.stringify(path)}, 'r'));
      const child = spawn('sleep', ['60'], { stdio: 'ignore' });
      console.log(JSON.stringify({ locked, pid: child.pid }));
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(holder.stdout, 'data');
    const { locked, pid } = JSON.parse(String(line));
    const fd = open();
    expect([locked, tryLock(fd)]).toEqual([true, false]);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(tryLock(fd)).toBe(true);
    process.kill(pid);
  });

  test('of no descriptor is an error', () => {
    expect(() => tryLock(-1)).toThrow(TypeError);
    expect(() => tryLock(1_000_000)).toThrow(BpfError);
    expect(() => tryLock(1_000_000)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'flock' }));
  });
});
