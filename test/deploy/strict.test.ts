// The manifests are the Kubernetes API's: its own types, of k8s.io/api, take each object with every field that it has.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { findHelm, renderText } from './support.ts';

const STRICT = 'build/tools/strict';
const helm = findHelm();
const isBuilt = existsSync(STRICT);
const describeBuilt = isBuilt ? describe : describe.skip;
const testWithHelm = helm === undefined ? test.skip : test;
const lacks = (what: string, there: boolean) =>
  there ? '' : ` [skipped: no ${what}; scripts/install-tools builds it]`;

describeBuilt(`the API takes${lacks(STRICT, isBuilt)}`, () => {
  test.each(['deploy/selvedge.yaml', 'deploy/cleanup.yaml'])('%s', (file) => {
    expect(refused(readFileSync(file, 'utf8'))).toBe('');
  });

  testWithHelm.each([
    'cni.enabled=true',
    'sysAdmin=true',
    'metricsDetail=true',
    'dataplane=bpf',
    'dashboard.enabled=true',
    'cleanup=true',
  ])(`what the chart gives for %s${lacks('helm', helm !== undefined)}`, (value) => {
    expect(refused(renderText(helm ?? '', [value]))).toBe('');
    expect(refused(renderText(helm ?? '', [value], '1.27.0'))).toBe('');
  });

  test('and nothing else', () => {
    const text = readFileSync('deploy/selvedge.yaml', 'utf8').replace('hostNetwork:', 'hostNetwrk:');
    expect(refused(text)).toContain('unknown field "spec.template.spec.hostNetwrk"');
  });
});

/** A line for each object that is not taken. */
function refused(text: string): string {
  try {
    return execFileSync(STRICT, { input: text, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return `${(error as { stdout?: string }).stdout}${(error as Error).message}`;
  }
}
