import { defineConfig } from 'vitest/config';

// Everything is some times slower under the sanitizers, and the compiler that the tests call runs under them too.
export default defineConfig({
  test: { include: ['test/**/*.test.js'], pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 },
});
