/**
 * Many admissions -> chains that a packet walks a few of: its protocol, then its port by four bits at a time, lead to the
 * admissions that concern it. The ranges are fixed and chains are named by what is in them, so that a rule that comes or goes
 * changes the chains of its own ports alone, and rulesets that differ in it share all others.
 */
import type { Protocol } from '../../model/cluster.ts';
import type { PortRange } from '../../model/compiled.ts';
import { digest, type Way } from './names.ts';
import { portMatches } from './port-matches.ts';

/** What some rule admits, whatever its peers are: rules for those are made for any ports. */
export interface Admission<R> {
  /** Its own: what has the same number is the same. */
  readonly number: number;
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
/** Parts of trees, before those that were not met again since as many others are forgotten. */
const MOST_KEPT = 8_192;

type Ports = Pick<PortRange, 'from' | 'to'>;

/** What an admission has of one protocol. */
interface Own<R> extends Pick<Admission<R>, 'number' | 'rules'> {
  readonly ranges: readonly Ports[];
}

interface Branch<R> {
  readonly protocol: Protocol;
  readonly ports: Ports;
  /** Those that admit any of the ports. */
  readonly own: readonly Own<R>[];
}

/** A chain and those that it leads to. */
interface Part<R> {
  readonly key: string;
  readonly name: string;
  readonly rules: readonly R[];
  readonly parts: readonly Part<R>[];
}

/**
 * Trees one after the other, each mostly like one before it: a part is made of nothing but its range of ports and its
 * admissions, so the part of an earlier tree with the same ones serves again.
 */
export class PortTrees<R> {
  readonly #options: PortTreeOptions<R>;
  #kept = new Map<string, Part<R>>();
  #older = new Map<string, Part<R>>();

  constructor(options: PortTreeOptions<R>) {
    this.#options = options;
  }

  /** In each chain the admissions keep their order. */
  of(admissions: readonly Admission<R>[]): PortTree<R> {
    const { plain, end } = this.#options;
    const everywhere = admissions.filter(({ ports }) => ports === 'every');
    const protocols = PROTOCOLS.filter((protocol) => {
      return admissions.some(({ ports }) => ports !== 'every' && ports.some((range) => range.protocol === protocol));
    });
    const chains = new Map<string, readonly R[]>();
    const jumps = protocols.map((protocol) => {
      const own = admissions.flatMap((one) => ownOf(one, protocol));
      const part = this.#grow({ protocol, ports: ALL_PORTS, own });
      this.#collect(part, chains);
      return plain(`-p ${protocol.toLowerCase()} -g ${part.name}`);
    });
    if (this.#kept.size > MOST_KEPT) [this.#kept, this.#older] = [new Map(), this.#kept];
    return { root: [...jumps, ...everywhere.flatMap(({ rules }) => rules('')), ...end], chains };
  }

  #grow(branch: Branch<R>): Part<R> {
    const { protocol, ports, own } = branch;
    const key = digest(`${protocol} ${ports.from} ${own.map(({ number }) => number)} ${ports.to}`, 32);
    return this.#kept.get(key) ?? this.#older.get(key) ?? this.#make(key, branch);
  }

  #make(key: string, branch: Branch<R>): Part<R> {
    const { protocol, ports, own } = branch;
    const { way, nameOf, plain, end } = this.#options;
    const put = (made: readonly R[], parts: readonly Part<R>[]): Part<R> => {
      const rules = [...made, ...end];
      return { key, name: nameOf(rules), rules, parts };
    };
    const whole = own.filter(({ ranges }) => ranges.some((range) => holds(range, ports))).length;
    // What admits all of these ports would stand in every leaf: with many of them nothing is won by leaves.
    if (own.length - whole <= LEAF || whole > LEAF) {
      return put(
        own.flatMap((one) => ownRules(one, branch, way)),
        [],
      );
    }
    const below = partsOf(ports).flatMap((range) => {
      const within = own.filter(({ ranges }) => ranges.some((one) => meet(one, range)));
      if (within.length === 0) return [];
      const [match = ''] = portMatches([{ protocol, ...range }], way);
      return { match, part: this.#grow({ protocol, ports: range, own: within }) };
    });
    return put(
      below.map(({ match, part }) => plain(`${match} -g ${part.name}`)),
      below.map(({ part }) => part),
    );
  }

  #collect(part: Part<R>, chains: Map<string, readonly R[]>): void {
    this.#kept.set(part.key, part);
    for (const one of part.parts) this.#collect(one, chains);
    chains.set(part.name, part.rules);
  }
}

function ownOf<R>({ number, ports, rules }: Admission<R>, protocol: Protocol): Own<R>[] {
  if (ports === 'every') return [{ number, ranges: [ALL_PORTS], rules }];
  const ranges = ports.filter((range) => range.protocol === protocol);
  return ranges.length === 0 ? [] : [{ number, ranges, rules }];
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
