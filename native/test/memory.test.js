import { memoryUsage } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { trimMemory } from '../lib/index.js';

const MEGABYTE = 2 ** 20;
/** It brings its own malloc, which keeps what is freed for a while to see who still uses it. */
const hasSanitizer = process.env.ASAN_OPTIONS !== undefined;

test.skipIf(hasSanitizer)('what was freed between what is in use goes back to the kernel', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  // Of a size that comes out of the arena, and not out of a mapping of its own.
  let buffers = Array.from({ length: 2048 }, (_, i) => Buffer.allocUnsafeSlow(48 * 1024).fill(i));
  const full = memoryUsage();
  const kept = buffers.filter((_, i) => i % 32 === 31);
  buffers = undefined;
  while (memoryUsage().arrayBuffers > full.arrayBuffers - 80 * MEGABYTE) {
    collect();
    await setImmediate(); // a thread of V8 frees them
  }
  const before = memoryUsage().rss;
  expect(trimMemory()).toBe(true);
  expect(memoryUsage().rss).toBeLessThan(before - 32 * MEGABYTE);
  expect(kept.every((buffer, i) => buffer[0] === ((i * 32 + 31) & 0xff))).toBe(true);
});
