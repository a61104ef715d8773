import { expect, test } from 'vitest';
import { filesUnder, readText } from './source-files.ts';

test('the package is under the Apache licence, whose text is here', () => {
  expect(JSON.parse(readText('package.json')).license).toBe('Apache-2.0');
  expect(readText('LICENSE')).toContain('Apache License\n                           Version 2.0, January 2004');
});

test('every BPF file may be taken under GPL 2 too, whose text is here', () => {
  const files = filesUnder(['bpf'], /\.[ch]$/);
  expect(files.length).toBeGreaterThan(0);
  const without = files.filter(
    (file) =>
      !readText(file).startsWith('// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0\n') &&
      !/^\/\* SPDX-License-Identifier: GPL-2\.0-only OR Apache-2\.0 \*\/\n/.test(readText(file)),
  );
  expect(without).toEqual([]);
  expect(readText('LICENSES/GPL-2.0-only.txt')).toContain('Version 2, June 1991');
});
