import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { PATIENCE } from './test/support/patience.ts';

// Kernel tests live beside the others: each works in network namespaces of its own, so files run side by side.
// globalSetup removes what killed runs have left; the last reporter prints the line that CI reads.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'native/test/**/*.test.{js,ts}'],
    pool: 'forks',
    // Kernel tests mostly wait for packets, so even two cores are not left to one file at a time.
    maxWorkers: Math.max(2, availableParallelism()),
    // Agents of tests listen nowhere unless they are told to: several run beside each other, and perhaps beside a real one.
    env: { SELVEDGE_SOCKET: '' },
    // Upper bounds, for a loaded machine too: what does not come in time is told by whoever waits for it.
    expect: { poll: { timeout: PATIENCE } },
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
    globalSetup: ['test/project/sweep-leftovers.ts'],
    reporters: ['default', './test/project/closing-line-reporter.ts'],
  },
});
