import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockOf } from '../../src/dataplane/lock.ts';

describe('a lock', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'selvedge-lock-'));
    path = join(folder, 'file');
    writeFileSync(path, '');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is refused as long as somebody has it', () => {
    const lock = lockOf(openSync(path, 'r'));
    const other = openSync(path, 'r');
    expect(lockOf(other)).toBeUndefined();
    lock?.release();
    const again = lockOf(other);
    expect(again).toBeDefined();
    again?.release();
  });

  it('that was released is had although a program that was just started still has its descriptor', async () => {
    const fd = openSync(path, 'r');
    const lock = lockOf(fd);
    const child = spawn('sleep', ['0.02'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    const ended = once(child, 'exit');
    lock?.release();
    const again = lockOf(openSync(path, 'r'));
    expect(again).toBeDefined();
    again?.release();
    await ended;
  });
});
