/** docs/semantics.md is true: its examples are what the commands print, and it knows every reason that the packet path gives. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { selvedge } from './command.ts';

const document = readFileSync(new URL('../../docs/semantics.md', import.meta.url), 'utf8');
const examples = [...document.matchAll(/^```console\n\$ (.*)\n([\s\S]*?)```$/gm)].map(
  ([, command = '', output = '']) => ({
    command,
    output,
  }),
);

test.each(examples)('$command', async ({ command, output }) => {
  const [, input = '', args = ''] = /^(?:echo '([^']*)' \| )?selvedge (.*)$/.exec(command) ?? [];
  const outcome = await selvedge(args.split(' '), input);
  expect(outcome).toEqual({ code: 0, stdout: output, stderr: '' });
});

test('there are examples of each command', () => {
  expect(new Set(examples.map(({ command }) => /selvedge (\w+)/.exec(command)?.[1]))).toEqual(
    new Set(['explain', 'matrix']),
  );
});

test('every reason of the packet path stands in it', () => {
  const abi = readFileSync(new URL('../../bpf/abi.h', import.meta.url), 'utf8');
  const reasons = abi.match(/\bREASON_\w+(?=\s*(?:=|,))/g) ?? [];
  const missing = reasons.filter((reason) => reason !== 'REASON_ALLOW_MAX' && !document.includes(`\`${reason}\``));
  expect(reasons.length).toBeGreaterThan(10);
  expect(missing).toEqual([]);
});
