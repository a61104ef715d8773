/** What the kernel counted between two readings, as text: a line for each pod, where it counts by pods, then by rule and policy. */
import pc from 'picocolors';
import type { VerdictCount } from '../../model/verdict-event.ts';

interface Totals {
  admitted: bigint;
  droppedIn: bigint;
  droppedOut: bigint;
}

/** Readings of all nodes, of any data plane. Interfaces without a pod are left out: they are gone. */
export function formatCounts(now: readonly VerdictCount[], before: readonly VerdictCount[], colour: boolean): string {
  const { red, green, dim } = pc.createColors(colour);
  const pods = new Map<string, Totals>();
  const rules = new Map<string, bigint>();
  const drops = new Map<string, bigint>();
  for (const { count, packets } of differences(now, before)) {
    const { rule, policies } = count;
    const name = rule && `${rule.policy} ${rule.direction} rule ${rule.index + 1}`;
    if (name !== undefined) rules.set(name, (rules.get(name) ?? 0n) + packets);
    if (count.pod === undefined) {
      const by = `${policies.join(', ')} (${count.direction})`;
      if (rule === undefined) drops.set(by, (drops.get(by) ?? 0n) + packets);
      continue;
    }
    const totals = pods.get(count.pod) ?? { admitted: 0n, droppedIn: 0n, droppedOut: 0n };
    pods.set(count.pod, totals);
    if (!count.reason.startsWith('drop-')) totals.admitted += packets;
    else if (count.direction === 'ingress') totals.droppedIn += packets;
    else totals.droppedOut += packets;
  }
  const width = Math.max(14, ...[...pods.keys()].map(({ length }) => length));
  const cell = (value: bigint, paint: (text: string) => string) => {
    const text = `${value}`.padStart(13);
    return value === 0n ? dim(text) : paint(text);
  };
  return [
    dim(
      `  ${'the kernel saw'.padEnd(width)}${pods.size === 0 ? '' : '     admitted   dropped in  dropped out'}`.trimEnd(),
    ),
    ...[...pods].sort().map(([pod, { admitted, droppedIn, droppedOut }]) => {
      return `  ${pod.padEnd(width)}${cell(admitted, green)}${cell(droppedIn, red)}${cell(droppedOut, red)}`;
    }),
    ...[...drops].sort().map(([policies, packets]) => red(`  dropped by ${policies}: ${packets}`)),
    ...[...rules].sort().map(([name, packets]) => dim(`  admitted by ${name}: ${packets}`)),
  ].join('\n');
}

function differences(now: readonly VerdictCount[], before: readonly VerdictCount[]) {
  const known = sums(before);
  return [...sums(now)].flatMap(([key, { count, packets }]) => {
    const last = known.get(key)?.packets ?? 0n;
    // A rule that was written anew counts from zero.
    const more = packets >= last ? packets - last : packets;
    const nobodys = count.pod === undefined && count.ifindex !== 0;
    return nobodys || more === 0n ? [] : [{ count, packets: more }];
  });
}

function sums(counts: readonly VerdictCount[]): Map<string, { count: VerdictCount; packets: bigint }> {
  const known = new Map<string, { count: VerdictCount; packets: bigint }>();
  for (const count of counts) {
    const { pod, ifindex, direction, reason, rule, policies } = count;
    const key = JSON.stringify([pod, ifindex, direction, reason, rule, ifindex === 0 ? policies : []]);
    known.set(key, { count, packets: (known.get(key)?.packets ?? 0n) + count.packets });
  }
  return known;
}
