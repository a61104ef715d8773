/** What the figures were measured on. */
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { BenchReport } from './contract.ts';

/** @param before the load when the run began */
export function describeMachine(before: number): BenchReport['machine'] {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memory: totalmem(),
    kernel: release(),
    load: [before, loadNow()],
  };
}

/** Of the last minute. */
export function loadNow(): number {
  return loadavg()[0] ?? 0;
}
