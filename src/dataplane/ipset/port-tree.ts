/**
 * Many admissions -> chains that a packet walks a few of: its protocol, then its port by four bits at a time, lead to the
 * admissions that concern it. The ranges are fixed and chains are named by what is in them, so that a rule that comes or goes
 * changes the chains of its own ports alone, and rulesets that differ in it share all others.
 */
import type { Protocol } from '../../model/cluster.ts';
import type { PortRange } from '../../model/compiled.ts';
import type { Way } from './names.ts';
import { portMatches } from './port-matches.ts';

/** What some rule admits, whatever its peers are: rules for those are made for any ports. */
export interface Admission<R> {
  readonly ports: readonly PortRange[] | 'every';
  /** The iptables rules that admit it behind this match of ports; the empty text matches all. */
  readonly rules: (ports: string) => readonly R[];
}

export interface PortTreeOptions<R> {
  readonly way: Way;
  /** Of the chain that has these rules. */
  readonly nameOf: (rules: readonly R[]) => string;
  readonly plain: (text: string) => R;
  /** What stands at the end of each chain. */
  readonly end: readonly R[];
}

export interface PortTree<R> {
  /** Where a packet comes in. */
  readonly root: readonly R[];
  /** By name; those that a chain leads to stand before it. */
  readonly chains: ReadonlyMap<string, readonly R[]>;
}

/** As many as are walked one after the other. */
export const LEAF = 16;

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const BITS = 4;
const ALL_PORTS = { from: 0, to: 65_535 };

type Ports = Pick<PortRange, 'from' | 'to'>;

/** In each chain the admissions keep their order. */
export function portTree<R>(admissions: readonly Admission<R>[], options: PortTreeOptions<R>): PortTree<R> {
  const chains = new Map<string, readonly R[]>();
  const { plain, end } = options;
  const everywhere = admissions.filter(({ ports }) => ports === 'every');
  const protocols = PROTOCOLS.filter((protocol) => {
    return admissions.some(({ ports }) => ports !== 'every' && ports.some((range) => range.protocol === protocol));
  });
  const jumps = protocols.map((protocol) => {
    const own = admissions.flatMap((one) => ownOf(one, protocol));
    const name = grow(chains, { protocol, ports: ALL_PORTS, own }, options);
    return plain(`-p ${protocol.toLowerCase()} -g ${name}`);
  });
  return { root: [...jumps, ...everywhere.flatMap(({ rules }) => rules('')), ...end], chains };
}

/** What an admission has of one protocol. */
interface Own<R> {
  readonly ranges: readonly Ports[];
  readonly rules: Admission<R>['rules'];
}

function ownOf<R>({ ports, rules }: Admission<R>, protocol: Protocol): Own<R>[] {
  if (ports === 'every') return [{ ranges: [ALL_PORTS], rules }];
  const ranges = ports.filter((range) => range.protocol === protocol);
  return ranges.length === 0 ? [] : [{ ranges, rules }];
}

interface Branch<R> {
  readonly protocol: Protocol;
  readonly ports: Ports;
  /** Those that admit any of the ports. */
  readonly own: readonly Own<R>[];
}

/** @returns the name of the branch's chain */
function grow<R>(chains: Map<string, readonly R[]>, branch: Branch<R>, options: PortTreeOptions<R>): string {
  const { protocol, ports, own } = branch;
  const put = (rules: readonly R[]) => {
    const all = [...rules, ...options.end];
    const name = options.nameOf(all);
    chains.set(name, all);
    return name;
  };
  const whole = own.filter(({ ranges }) => ranges.some((range) => holds(range, ports))).length;
  // What admits all of these ports would stand in every leaf: with many of them nothing is won by leaves.
  if (own.length - whole <= LEAF || whole > LEAF) {
    return put(own.flatMap((one) => ownRules(one, branch, options.way)));
  }
  const jumps = partsOf(ports).flatMap((part) => {
    const within = own.filter(({ ranges }) => ranges.some((range) => meet(range, part)));
    if (within.length === 0) return [];
    const [match = ''] = portMatches([{ protocol, ...part }], options.way);
    return options.plain(`${match} -g ${grow(chains, { protocol, ports: part, own: within }, options)}`);
  });
  return put(jumps);
}

function ownRules<R>({ ranges, rules }: Own<R>, { protocol, ports }: Branch<R>, way: Way): readonly R[] {
  if (ranges.some((range) => holds(range, ports))) return rules('');
  const own = ranges.filter((range) => meet(range, ports)).map(({ from, to }) => ({ protocol, from, to }));
  return portMatches(own, way).flatMap((match) => rules(match));
}

function partsOf({ from, to }: Ports): readonly Ports[] {
  const size = (to - from + 1) >> BITS;
  return Array.from({ length: 1 << BITS }, (_, index) => ({
    from: from + index * size,
    to: from + (index + 1) * size - 1,
  }));
}

function meet(a: Ports, b: Ports): boolean {
  return a.from <= b.to && b.from <= a.to;
}

function holds(a: Ports, b: Ports): boolean {
  return a.from <= b.from && b.to <= a.to;
}
