import { expect, it } from 'vitest';
import { explainOldKernel, isKernelSince } from '../src/kernel-release.ts';

it('compares by numbers, and takes what it cannot read for new', () => {
  const since = (text: string) => isKernelSince([5, 12], text);
  expect(['6.1.0-56-amd64', '5.12.0', '5.15.3+', '10.0-rc1'].map(since)).toEqual([true, true, true, true]);
  expect(['5.10.0-32-amd64', '5.9', '4.19.300'].map(since)).toEqual([false, false, false]);
  expect(since('next')).toBe(true);
});

it('a kernel that is too old is said to be, before its own words; of others the error stays', () => {
  const error = new Error('bpf_object__load: Invalid argument (EINVAL)\nlibbpf: more');
  expect(explainOldKernel(error, '6.1.0')).toBe(error);
  expect(explainOldKernel(error, '5.10.0-32-amd64')).toMatchObject({
    code: 'OLD_KERNEL',
    message:
      'Linux 5.10.0-32-amd64 is older than 5.12, which the programs need for atomic exchanges: bpf_object__load: Invalid argument (EINVAL)',
    cause: error,
  });
});
