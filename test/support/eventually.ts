/** Waits for what must come, with the one patience that all tests have. */
import { vi } from 'vitest';
import { PATIENCE } from './patience.ts';

/** Looks, every so many milliseconds, until a look does not throw. @returns what that one gave @throws what the last one threw */
export function eventually<T>(look: () => T | Promise<T>, interval = 20): Promise<T> {
  return vi.waitFor(look, { timeout: PATIENCE, interval });
}
