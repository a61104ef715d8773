/** What the kernel counted between two readings, as text: a line for each pod, then one for each rule that admitted. */
import pc from 'picocolors';
import type { VerdictCount } from '../model/verdict-event.ts';

interface Totals {
  admitted: bigint;
  droppedIn: bigint;
  droppedOut: bigint;
}

/** Readings of all nodes. Pods without a name are left out: their interface is gone. */
export function formatCounts(now: readonly VerdictCount[], before: readonly VerdictCount[], colour: boolean): string {
  const { red, green, dim } = pc.createColors(colour);
  const pods = new Map<string, Totals>();
  const rules = new Map<string, bigint>();
  for (const { count, packets } of differences(now, before)) {
    const totals = pods.get(count.pod) ?? { admitted: 0n, droppedIn: 0n, droppedOut: 0n };
    pods.set(count.pod, totals);
    if (!count.reason.startsWith('drop-')) totals.admitted += packets;
    else if (count.direction === 'ingress') totals.droppedIn += packets;
    else totals.droppedOut += packets;
    const { rule } = count;
    if (rule === undefined) continue;
    const name = `${rule.policy} ${rule.direction} rule ${rule.index + 1}`;
    rules.set(name, (rules.get(name) ?? 0n) + packets);
  }
  const width = Math.max(14, ...[...pods.keys()].map(({ length }) => length));
  const cell = (value: bigint, paint: (text: string) => string) => {
    const text = `${value}`.padStart(13);
    return value === 0n ? dim(text) : paint(text);
  };
  return [
    dim(`  ${'the kernel saw'.padEnd(width)}     admitted   dropped in  dropped out`),
    ...[...pods].sort().map(([pod, { admitted, droppedIn, droppedOut }]) => {
      return `  ${pod.padEnd(width)}${cell(admitted, green)}${cell(droppedIn, red)}${cell(droppedOut, red)}`;
    }),
    ...[...rules].sort().map(([name, packets]) => dim(`  admitted by ${name}: ${packets}`)),
  ].join('\n');
}

function differences(now: readonly VerdictCount[], before: readonly VerdictCount[]) {
  const known = new Map(before.map((count) => [keyOf(count), count.packets]));
  return now.flatMap((count) => {
    const { pod } = count;
    const packets = count.packets - (known.get(keyOf(count)) ?? 0n);
    return pod === undefined || packets === 0n ? [] : [{ count: { ...count, pod }, packets }];
  });
}

function keyOf({ pod, ifindex, direction, reason, rule }: VerdictCount): string {
  return JSON.stringify([pod, ifindex, direction, reason, rule]);
}
