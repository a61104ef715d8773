// Sums a finished run up as one line, `N passed, N failed, N skipped`, alone and last on standard output.
// A file that cannot be loaded and an error outside of any test count as failed: they would go unseen otherwise.

import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** How many tests ended in which way. */
export type Totals = { readonly passed: number; readonly failed: number; readonly skipped: number };

export type FinishedTest = {
  readonly fullName: string;
  result(): { readonly state: string; readonly note?: string | undefined };
};

/** What the totals are taken from: the parts of vitest's modules that matter here. */
export type FinishedModule = {
  readonly children: {
    allTests(): Iterable<FinishedTest>;
    allSuites(): Iterable<{ errors(): readonly unknown[] }>;
  };
  errors(): readonly unknown[];
};

export function sumUp(modules: Iterable<FinishedModule>, errorsOutside: number): Totals {
  let passed = 0;
  let failed = errorsOutside;
  let skipped = 0;
  for (const module of modules) {
    // Errors of a module or a suite are failed imports and hooks: their tests did not run, and count as skipped.
    if (module.errors().length > 0) failed += 1;
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) failed += 1;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'skipped') skipped += 1;
      else failed += 1;
    }
  }
  return { passed, failed, skipped };
}

/** How many tests were skipped for which reason: the one given to `skip()`, or in brackets in the name (`describeAsRoot`). */
export function skipReasons(modules: Iterable<FinishedModule>): Map<string, number> {
  const reasons = new Map<string, number>();
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state !== 'skipped') continue;
      const reason =
        result.note ?? /\[skipped: (.+?)\]/.exec(test.fullName)?.[1] ?? `no reason given (${test.fullName})`;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  }
  return reasons;
}

export function closingLine({ passed, failed, skipped }: Totals): string {
  const line = `${passed} passed, ${failed} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    for (const [reason, count] of skipReasons(modules)) {
      process.stdout.write(`${count} ${count === 1 ? 'test' : 'tests'} skipped: ${reason}\n`);
    }
    const totals = sumUp(modules, errors.length);
    // scripts/test adds its own checks to the totals and prints the line itself.
    const file = process.env.SELVEDGE_TOTALS;
    if (file) writeFileSync(file, `${totals.passed} ${totals.failed} ${totals.skipped}\n`);
    else process.stdout.write(`\n${closingLine(totals)}\n`);
  }
}
