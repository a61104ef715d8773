// docs/install-flannel.md, the Dockerfile and the pages for contributors against what they speak of: values, capabilities, packages, folders.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

const text = (file: string) => readFileSync(file, 'utf8');
const GUIDE = text('docs/install-flannel.md');

/** The first cells of the table under this heading, as they are written. */
function firstCells(heading: string): string[] {
  const from = GUIDE.indexOf(`| ${heading} |`);
  const [table = ''] = GUIDE.slice(from).split('\n\n');
  return table
    .split('\n')
    .slice(2)
    .map((row) => row.split('|')[1]?.trim() ?? '');
}

function valueAt(path: string): unknown {
  const values: unknown = parse(text('deploy/chart/values.yaml'));
  return path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], values);
}

it('the guide speaks of values that the chart has', () => {
  const named = firstCells('value').flatMap((cell) => [...cell.matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name));
  const set = [...GUIDE.matchAll(/(?:--set |`)([a-z]\w*(?:\.\w+)*)=/g)].map(([, name = '']) => name);
  const values = [...named, ...set].filter((name) => !name.startsWith('netpol.') && !name.startsWith('net.'));
  expect(values).toEqual(expect.arrayContaining(['cni.enabled', 'cleanup', 'image.repository', 'cni.confDir']));
  for (const name of values) expect(valueAt(name), name).toBeDefined();
});

it('the guide gives each capability of the DaemonSet its reason', () => {
  const [list = ''] = /\n\s+add:\n((?:\s+- [A-Z_]+ .*\n)+)/.exec(text('deploy/selvedge.yaml')) ?? [];
  const added = [...list.matchAll(/- ([A-Z_]+)/g)].map(([, name]) => name);
  expect(added.length).toBeGreaterThan(3);
  for (const name of added) expect(GUIDE, name).toMatch(new RegExp(`^\\|[^|]*\\b${name}\\b[^|]*\\|`, 'm'));
});

it('the guide names files that are there', () => {
  for (const [, file = ''] of GUIDE.matchAll(/\b((?:deploy|test)\/[\w./-]*\w)/g))
    expect(existsSync(file), file).toBe(true);
});

it('the Dockerfile builds with what setup builds with', () => {
  const [, build = ''] = /readonly to_build='([^']+)'/.exec(text('scripts/setup')) ?? [];
  const dockerfile = text('deploy/Dockerfile');
  const packages = new Set(
    build
      .trim()
      .split(/\s+/)
      .map((entry) => entry.split('=').at(-1) ?? ''),
  );
  // It formats nothing.
  packages.delete('clang-format');
  expect(packages.size).toBeGreaterThan(8);
  for (const name of [...packages, 'iproute2', 'iptables', 'ipset', 'nftables']) {
    expect(dockerfile).toMatch(new RegExp(`\\s${name.replaceAll('+', '\\+')}\\s`));
  }
  expect(dockerfile).toContain('deploy/stage.ts /stage');
});

it('the Dockerfile’s base is pinned, and its Node is the one of the lock file', () => {
  const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, { version?: string }> };
  for (const cpu of ['x64', 'arm64']) {
    const { version } = lock.packages[`node_modules/node-linux-${cpu}`] ?? {};
    expect(text('deploy/Dockerfile')).toMatch(
      new RegExp(`^ARG BASE=node:${version}-bookworm-slim@sha256:[0-9a-f]{64}$`, 'm'),
    );
  }
});

it('every folder of the sources stands in the page on the architecture, and what it names is there', () => {
  const page = text('docs/architecture.md');
  const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders)
    if (name !== 'model') expect(page, name).toMatch(new RegExp(`^\\| \`src/${name}`, 'm'));
  for (const [, path = ''] of page.matchAll(/`((?:src|native|bpf|bench|deploy|test)(?:\/[\w.-]+)*)\/?`/g))
    expect(existsSync(path), path).toBe(true);
});

it('CONTRIBUTING.md names files that are there', () => {
  for (const [, path = ''] of text('CONTRIBUTING.md').matchAll(/`((?:src|test|scripts|bpf|build)\/[\w./-]*\w)/g))
    if (!path.startsWith('build')) expect(existsSync(path), path).toBe(true);
});
