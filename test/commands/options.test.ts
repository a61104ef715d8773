/** Options whose nonsense would be found late, or never. */
import { expect, it } from 'vitest';
import { selvedge } from '../observe/command.ts';

it.each([
  ['--node-name', '', 'the name of a Node'],
  ['--pin-dir', '', 'an absolute path'],
  ['--pin-dir', 'pins', 'an absolute path'],
  ['--pin-dir', '/sys/fs/bpf/selvedge.old', 'without a dot'],
])('%s %j is refused', async (option, value, words) => {
  const { code, stdout, stderr } = await selvedge(['agent', '--dry-run', '--manifests', '/', option, value]);
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(words)]);
});
