import { describe, expect, test } from 'vitest';
import { rules, violations } from './import-rules.ts';
import { filesUnder, importsOf, readText } from './source-files.ts';

const imports = filesUnder(['src'], /\.ts$/).flatMap((file) => importsOf(file, readText(file)));

describe('imports within src', () => {
  test('are found at all', () => {
    expect(imports.filter(({ to }) => to.startsWith('src/model/')).length).toBeGreaterThan(5);
    expect(imports.filter(({ to }) => !to.startsWith('src/')).length).toBeGreaterThan(5);
  });

  test('break no rule', () => {
    expect(violations(imports)).toEqual([]);
  });

  test('name only packages that package.json lists as dependencies, optional ones included', () => {
    const { dependencies, optionalDependencies } = JSON.parse(readText('package.json'));
    const listed = { ...dependencies, ...optionalDependencies };
    const packages = imports.map(({ to }) => to).filter((to) => !/^(src|test|native)\/|^node:|^\.|\.json$/.test(to));
    const names = packages.map((to) => /^(@[^/]+\/)?[^/]+/.exec(to)?.[0]);
    expect([...new Set(names)].filter((name) => name !== undefined && !(name in listed))).toEqual([]);
  });
});

describe('each rule catches the import that it forbids:', () => {
  const forbidden = [
    ['src/model/pod.ts', 'src/sources/watch.ts'],
    ['src/sources/directory/source.ts', 'src/compile/compile.ts'],
    ['src/links/bindings.ts', 'src/sources/directory/source.ts'],
    ['src/compile/compile.ts', 'src/dataplane/contract.ts'],
    ['src/dataplane/bpf/maps.ts', 'src/compile/sets.ts'],
    ['src/observe/flows.ts', 'src/agent.ts'],
    ['src/dataplane/bpf/maps.ts', 'src/dataplane/ipset/sets.ts'],
    ['src/dataplane/ipset/sets.ts', 'src/dataplane/bpf/maps.ts'],
    ['src/model/pod.ts', 'node:fs'],
    ['src/compile/compile.ts', 'node:timers/promises'],
    ['src/dataplane/bpf/maps.ts', 'selvedge-libbpf'],
    ['src/lab/lab.ts', 'node:child_process'],
    ['src/commands/agent.ts', '@kubernetes/client-node'],
    ['src/bench/compare/command.ts', 'vega'],
    ['src/main.ts', 'test/support/builders.ts'],
  ] as const;

  test.each(rules.map((rule, at) => [rule.text, at] as const))('%s', (text, at) => {
    const example = forbidden[at];
    expect(example, `an example for "${text}"`).toBeDefined();
    const [from, to] = example as (typeof forbidden)[number];
    expect(violations([{ from, to }]).join('\n')).toContain(text);
  });

  test('and leaves the owners alone', () => {
    expect(
      violations([
        { from: 'src/native.ts', to: 'selvedge-libbpf' },
        { from: 'src/child-process.ts', to: 'node:child_process' },
        { from: 'src/sources/kubernetes/list-watch.ts', to: '@kubernetes/client-node' },
        { from: 'src/compile/compile.ts', to: 'src/model/pod.ts' },
        { from: 'src/agent.ts', to: 'src/dataplane/contract.ts' },
      ]),
    ).toEqual([]);
  });
});

test('an import is seen in each of its forms, and not in a comment', () => {
  const text = `
    import { a } from './a.ts'; import type { B } from "../b.ts";
    import {
      c,
    } from 'c';
    export * from './d.ts';
    import 'e';
    const f = await import('./f.ts');
    // import { no } from './no.ts';
    /* export * from './neither.ts'; */
  `;
  expect(importsOf('src/x/y.ts', text).map(({ to }) => to)).toEqual([
    'src/x/a.ts',
    'src/b.ts',
    'c',
    'src/x/d.ts',
    'e',
    'src/x/f.ts',
  ]);
});
