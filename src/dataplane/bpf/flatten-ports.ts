/**
 * Rules in order -> sorted, disjoint port ranges, each with the rule that admits it: the first in order that does.
 * The packet path then knows nothing of rules' order or number. One sweep for each protocol, O(n log n).
 */
import type { PortRange } from '../../model/compiled.ts';
import type { AdmittedRange } from './tables.ts';

/** A rule's number and what it admits. */
export interface NumberedRule {
  readonly number: number;
  readonly ports: readonly PortRange[] | 'every';
}

/** Values of enum port_protocol. */
export interface PortProtocols {
  readonly any: number;
  readonly other: number;
}

interface Interval {
  readonly from: number;
  readonly to: number;
  readonly order: number;
  readonly rule: number;
}

const IP_PROTOCOL = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const LAST_PORT = 65535;

export function flattenPorts(rules: readonly NumberedRule[], protocols: PortProtocols): AdmittedRange[] {
  const first = rules[0];
  if (first?.ports === 'every') return [{ protocol: protocols.any, from: 0, to: LAST_PORT, rule: first.number }];
  const intervals = new Map<number, Interval[]>();
  const add = (protocol: number, interval: Interval): void => {
    const list = intervals.get(protocol);
    if (list === undefined) intervals.set(protocol, [interval]);
    else list.push(interval);
  };
  for (const [order, { number: rule, ports }] of rules.entries()) {
    if (ports === 'every') {
      // Rules before it keep their names on their ports, so "everything" has to be spelled out; none after it counts.
      for (const protocol of [...Object.values(IP_PROTOCOL), protocols.other]) {
        add(protocol, { from: 0, to: LAST_PORT, order, rule });
      }
      break;
    }
    for (const { protocol, from, to } of ports) add(IP_PROTOCOL[protocol], { from, to, order, rule });
  }
  return [...intervals]
    .sort(([a], [b]) => a - b)
    .flatMap(([protocol, list]) => sweep(list).map(({ from, to, rule }) => ({ protocol, from, to, rule })));
}

/** Walks from port to port; at each the open interval of the lowest order decides. */
function sweep(intervals: Interval[]): { from: number; to: number; rule: number }[] {
  intervals.sort((a, b) => a.from - b.from || a.order - b.order);
  const ranges: { from: number; to: number; rule: number }[] = [];
  const open = new OrderHeap();
  let next = 0;
  let port = intervals[0]?.from ?? 0;
  for (;;) {
    for (; next < intervals.length && at(intervals, next).from <= port; next++) open.push(at(intervals, next));
    while (open.top !== undefined && open.top.to < port) open.pop();
    const decides = open.top;
    if (decides === undefined) {
      if (next === intervals.length) return ranges;
      port = at(intervals, next).from;
      continue;
    }
    const to = next === intervals.length ? decides.to : Math.min(decides.to, at(intervals, next).from - 1);
    const last = ranges.at(-1);
    if (last !== undefined && last.rule === decides.rule && last.to === port - 1) last.to = to;
    else ranges.push({ from: port, to, rule: decides.rule });
    port = to + 1;
  }
}

function at(intervals: readonly Interval[], index: number): Interval {
  return intervals[index] as Interval;
}

/** A binary heap, the lowest order on top. */
class OrderHeap {
  readonly #items: Interval[] = [];

  get top(): Interval | undefined {
    return this.#items[0];
  }

  push(item: Interval): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (at(items, parent).order <= item.order) break;
      items[i] = at(items, parent);
      i = parent;
    }
    items[i] = item;
  }

  pop(): void {
    const items = this.#items;
    const item = items.pop();
    if (item === undefined || items.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && at(items, child + 1).order < at(items, child).order) child++;
      if (at(items, child).order >= item.order) break;
      items[i] = at(items, child);
      i = child;
    }
    items[i] = item;
  }
}
