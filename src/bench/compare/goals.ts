/** Figures -> what the project wants to reach on real connections, and whether it has; the worst cell counts. */
import type { EngineName, Figure, Goal, Measure, Traffic } from './contract.ts';
import { ratioOf } from './figures.ts';
import { placeOf } from './rounds.ts';

interface Value {
  readonly value: number;
  readonly by: string;
}

interface Aim {
  readonly what: string;
  readonly limit: number;
  readonly atLeast?: true;
  readonly values: (figures: readonly Figure[]) => readonly Value[];
}

const IPSET: readonly EngineName[] = ['ipset-nft', 'ipset-legacy'];

const AIMS: readonly Aim[] = [
  {
    what: 'open connection against no program at all, both pods under policy',
    limit: 1.05,
    values: (figures) => ratios(figures, ['latency-p50']),
  },
  {
    what: 'connect and close against no program at all, at any number of policies',
    limit: 1.07,
    values: (figures) => ratios(figures, ['connect-p50']),
  },
  {
    what: 'throughput against no program at all',
    limit: 0.97,
    atLeast: true,
    values: (figures) => ratios(figures, ['stream-rate', 'streams-rate']),
  },
  {
    what: 'ipset: connect and close at 5,000 policies against 10',
    limit: 1.3,
    values: (figures) => growth(figures, { from: 10, to: 5_000 }),
  },
  {
    what: 'open connection while 200 changes per second are applied that do not concern it, against itself',
    limit: 1.1,
    values: busy,
  },
  ...(['unselected', 'denied'] as const).flatMap((traffic): Aim[] => {
    const whose = traffic === 'unselected' ? 'the first of its pod' : 'one more of a pod that is under all';
    const what = `milliseconds from a policy to the first packet that feels it, p99, at 1,000 policies, ${whose}`;
    return [
      { what: `bpf: ${what}`, limit: 10, values: (figures) => times(figures, { engines: ['bpf'], traffic }) },
      { what: `ipset: ${what}`, limit: 100, values: (figures) => times(figures, { engines: IPSET, traffic }) },
    ];
  }),
];

/** Those of which anything was measured. */
export function goalsOf(figures: readonly Figure[]): readonly Goal[] {
  return AIMS.flatMap(({ what, limit, atLeast = false, values }): Goal[] => {
    const sorted = values(figures).toSorted((a, b) => (atLeast ? a.value - b.value : b.value - a.value));
    const worst = sorted[0];
    if (worst === undefined) return [];
    const reached = atLeast ? worst.value >= limit : worst.value <= limit;
    return [{ what, value: worst.value, limit, atLeast, reached, by: worst.by }];
  });
}

function ratios(figures: readonly Figure[], measures: readonly Measure[]): Value[] {
  return figures.flatMap((figure): Value[] => {
    const { engine, traffic, measure, ratio } = figure;
    if (engine !== 'bpf' || traffic !== 'allowed' || !measures.includes(measure) || ratio === undefined) return [];
    // A difference that is smaller than the spread is none.
    return [{ value: ratio.differs ? ratio.median : 1, by: textOf(figure) }];
  });
}

/** Both against no program at all in their own rounds, where that is known: between the two the machine may have changed. */
function growth(figures: readonly Figure[], { from, to }: { readonly from: number; readonly to: number }): Value[] {
  const connects = figures.filter((one) => one.measure === 'connect-p50' && one.traffic === 'allowed');
  return connects.flatMap((few): Value[] => {
    if (!IPSET.includes(few.engine) || few.policies !== from) return [];
    const same = placeOf({ ...few, policies: to });
    const many = connects.find((one) => one.engine === few.engine && placeOf(one) === same);
    if (many === undefined) return [];
    const grown = many.ratio && few.ratio ? many.ratio.median / few.ratio.median : many.median / few.median;
    return [{ value: grown, by: textOf(many) }];
  });
}

function busy(figures: readonly Figure[]): readonly Value[] {
  return figures.flatMap((figure): Value[] => {
    if (figure.measure !== 'busy-latency-p50') return [];
    const calm = figures.find(
      (one) => one.measure === 'latency-p50' && one.engine === figure.engine && placeOf(one) === placeOf(figure),
    );
    const ratio = calm && ratioOf(figure.samples, calm.samples);
    return ratio === undefined ? [] : [{ value: ratio.median, by: textOf(figure) }];
  });
}

/** The median of the rounds' own p99, each of some sixty changes. */
function times(figures: readonly Figure[], of: { engines: readonly EngineName[]; traffic: Traffic }): Value[] {
  return figures.flatMap((figure): Value[] => {
    const { engine, measure, policies, traffic, median } = figure;
    if (measure !== 'policy-time-p99' || policies !== 1_000 || traffic !== of.traffic) return [];
    return of.engines.includes(engine) ? [{ value: median, by: textOf(figure) }] : [];
  });
}

/** `bpf, one node, 1,000 policies` */
function textOf({ engine, topology, policies }: Figure): string {
  const where = topology === 'one-node' ? 'one node' : 'two nodes';
  return `${engine}, ${where}, ${policies.toLocaleString('en')} ${policies === 1 ? 'policy' : 'policies'}`;
}
