/** What runs that were killed have left on this machine -> a line that says how to remove it. */
import { deadLabs } from '../lab/lab-record.ts';

export function tellLeftovers(): void {
  const labs = deadLabs();
  if (labs.length === 0) return;
  process.stderr.write(`Runs that were killed have left ${labs.join(', ')} behind: selvedge lab down removes them.\n`);
}
