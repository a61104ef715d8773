import { expect, test } from 'vitest';
import { features, isBpffs, mountBpffs, possibleCpus, tickNanoseconds } from '../lib/index.js';
import { describeAsRoot } from './support/privilege.js';

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
