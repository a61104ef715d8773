/** The in-memory data plane passes the suite, so that tests that stand on it mean something. */
import { describe } from 'vitest';
import { MemorySite } from '../support/kernel/memory-site.ts';
import { conformanceSuite } from './conformance-suite.ts';

describe('the data plane in memory', () => {
  conformanceSuite({ open: async () => new MemorySite(), skip: new Map() });
});
