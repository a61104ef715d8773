/** Rows of the kernel's counters -> sums by the labels of a metric: as many as there are pods and policies that were met, not rules. */
import type { VerdictCount } from '../../model/verdict-event.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly count: number;
}

/** By pod and reason; by policy; or by policy and the rule that admitted. A drop counts for each policy that isolates. */
export function verdictSamples(counts: readonly VerdictCount[], by: 'pod' | 'policy' | 'rule'): Sample[] {
  const sums = new Map<string, { labels: Record<string, string>; count: number }>();
  for (const count of counts) {
    for (const labels of by === 'pod' ? podLabels(count) : policyLabels(count, by === 'rule')) {
      const key = Object.values(labels).join('\0');
      const sum = sums.get(key) ?? { labels, count: 0 };
      sum.count += Number(count.packets);
      sums.set(key, sum);
    }
  }
  return [...sums.values()];
}

/** Interfaces of no pod, and data planes that do not count by pod, have the empty name. */
function podLabels({ pod, direction, reason }: VerdictCount): Record<string, string>[] {
  return [{ pod: pod ?? '', direction, verdict: verdictOf(reason), reason }];
}

function policyLabels({ rule, policies, direction, reason }: VerdictCount, detail: boolean): Record<string, string>[] {
  const verdict = verdictOf(reason);
  if (rule === undefined) {
    return policies.map((policy) => ({ policy, direction, verdict, ...(detail && { rule: '' }) }));
  }
  return [{ policy: rule.policy, direction, verdict, ...(detail && { rule: `spec.${direction}[${rule.index}]` }) }];
}

function verdictOf(reason: VerdictCount['reason']): 'allow' | 'deny' {
  return reason.startsWith('allow') ? 'allow' : 'deny';
}
