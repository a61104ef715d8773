import { defineConfig } from 'vitest/config';

// Kernel tests live beside the others: each works in network namespaces of its own, so files run side by side.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'native/test/**/*.test.{js,ts}'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    globalSetup: ['test/project/sweep-leftovers.ts'],
    reporters: ['default', './test/project/closing-line-reporter.ts'],
    setupFiles: [],
  },
});
