import { expect, test } from 'vitest';
import { closingLine, type FinishedModule, skipReasons, sumUp } from './closing-line-reporter.ts';
import { leftovers } from './sweep-leftovers.ts';

function moduleOf(states: readonly string[], errors: readonly unknown[] = [], inSuite: readonly unknown[] = []) {
  const children = {
    allTests: () =>
      states.map((state) => ({ fullName: `a test [skipped: needs root (X)]`, result: () => ({ state }) })),
    allSuites: () => [{ errors: () => inSuite }],
  };
  return { children, errors: () => errors } satisfies FinishedModule;
}

test('the closing line counts tests by how they ended', () => {
  const totals = sumUp([moduleOf(['passed', 'passed', 'failed']), moduleOf(['skipped', 'passed'])], 0);
  expect(closingLine(totals)).toBe('3 passed, 1 failed, 1 skipped');
});

test('the closing line leaves skipped tests out when there are none', () => {
  expect(closingLine(sumUp([moduleOf(['passed'])], 0))).toBe('1 passed, 0 failed');
});

test('a file that cannot be loaded counts as failed', () => {
  expect(closingLine(sumUp([moduleOf([], [new Error('syntax')])], 0))).toBe('0 passed, 1 failed');
});

test('a hook that throws counts as failed, the tests that it kept from running as skipped', () => {
  expect(closingLine(sumUp([moduleOf(['skipped'], [], [new Error('hook')])], 0))).toBe('0 passed, 1 failed, 1 skipped');
});

test('skipped tests are counted by their reasons', () => {
  expect([...skipReasons([moduleOf(['skipped', 'passed']), moduleOf(['skipped'])])]).toEqual([['needs root (X)', 2]]);
});

test('an error outside of any test counts as failed, and so does a test that never ended', () => {
  expect(closingLine(sumUp([moduleOf(['pending'])], 1))).toBe('0 passed, 2 failed');
});

test('leftovers are what dead owners made, and nobody else', () => {
  const dead = ['slv-7-node', 'slv-7_wire', 'slv-7b-node1_shop_web', 'selvedge-test-7'];
  const entries = [...dead, 'slv-8-node', 'slv-8c_wire', 'selvedge-test-8-pins', 'selvedge', 'cni-7', 'slv7'];
  expect(leftovers(entries, (pid) => pid === 8)).toEqual(dead);
});
