/** The processors that this process may run on -> those that a load's two ends stay on. */
import { readFileSync } from 'node:fs';

/** `client` and `server` are the same where there is only one, or where one is wanted. */
export interface Placement {
  readonly client: number;
  readonly server: number;
}

/** The last ones: the first processor is the one that interrupts of devices go to, as a rule. */
export function placementOf(wanted: 'one' | 'two', allowed: readonly number[] = allowedProcessors()): Placement {
  const client = allowed.at(-1) ?? 0;
  return { client, server: wanted === 'one' ? client : (allowed.at(-2) ?? client) };
}

export function allowedProcessors(status: string = readFileSync('/proc/self/status', 'utf8')): readonly number[] {
  const [, list = '0'] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status) ?? [];
  return list.split(',').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}
