/** Ports of rules: ranges in one canonical form, and what a named port means on a pod. */
import type { ContainerPort, PolicyPort, Protocol } from '../model/cluster.ts';
import type { PortRange } from '../model/compiled.ts';

/** A named port as rules ask for it. */
export interface PortName {
  readonly protocol: Protocol;
  readonly name: string;
}

/** Equal for the same name and protocol: `http/TCP`. */
export function portKey(port: PortName): string {
  return `${port.name}/${port.protocol}`;
}

/** The numbers that the name has on a pod: several when its containers disagree, none when no container knows it. Sorted. */
export function numbersOf(wanted: PortName, ports: readonly ContainerPort[]): number[] {
  const numbers = new Set<number>();
  for (const port of ports) {
    if (port.name === wanted.name && port.protocol === wanted.protocol) numbers.add(port.port);
  }
  return [...numbers].sort((a, b) => a - b);
}

export function rangesOf(ports: readonly PolicyPort[]): PortRange[] {
  return ports.flatMap((port) =>
    port.kind === 'range' ? [{ protocol: port.protocol, from: port.from, to: port.to }] : [],
  );
}

/** The distinct named ports, sorted. */
export function namesOf(ports: readonly PolicyPort[]): PortName[] {
  const names = new Map<string, PortName>();
  for (const port of ports) if (port.kind === 'named') names.set(portKey(port), port);
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { protocol, name }]) => ({ protocol, name }));
}

/** The same ports as sorted ranges that neither overlap nor touch. */
export function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const sorted = [...ranges].sort((a, b) =>
    a.protocol === b.protocol ? a.from - b.from : a.protocol < b.protocol ? -1 : 1,
  );
  const merged: PortRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last?.protocol === range.protocol && range.from <= last.to + 1) {
      merged[merged.length - 1] = { ...last, to: Math.max(last.to, range.to) };
    } else merged.push(range);
  }
  return merged;
}
