/** `selvedge bench path`: nanoseconds of the packet path for one packet, by the kernel's test-run, against an empty program. */
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BPF_OBJECT } from '../../commands/options.ts';
import { stopSignal } from '../../commands/stop-signal.ts';
import { terminal } from '../../commands/terminal.ts';
import { UsageError } from '../../commands/usage-error.ts';
import { requireRoot } from '../../privilege.ts';
import { tellLeftovers } from '../leftovers.ts';
import type { Case } from './case.ts';
import { Cases } from './cases.ts';
import { formatReport } from './format-report.ts';
import { measure } from './measure.ts';
import { type PathReport, reportOf, SMALLEST } from './report.ts';
import { BenchNamespace, Testbed, type Variant } from './testbed.ts';
import { LOCAL, type WorldSize } from './world.ts';

const OBJECTS = {
  policy: BPF_OBJECT,
  bench: process.env.SELVEDGE_BENCH_OBJECT ?? fileURLToPath(new URL('../../../build/bench.bpf.o', import.meta.url)),
};
const CROWD = 250;

interface Options {
  readonly output: 'table' | 'json';
  readonly quick: boolean;
  readonly only?: RegExp;
}

export function pathCommand(): Command {
  return new Command('path')
    .description(
      'Measure the packet path alone: nanoseconds of each kind of packet at each hook, against an empty program.',
    )
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .option('--quick', 'fewer rounds, and not the largest worlds', false)
    .option('--only <regexp>', 'only what matches this by group, hook, family, name or scale', pattern)
    .action(async (options: Options) => {
      requireRoot('selvedge bench path');
      using stop = stopSignal();
      tellLeftovers();
      const report = await benchPath(options, stop.signal);
      process.stdout.write(
        options.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report, terminal().colour),
      );
    });
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

interface World {
  readonly name: string;
  readonly scale: string;
  readonly size: WorldSize;
  readonly large?: true;
  readonly cases: (cases: Cases) => Iterable<Case>;
}

const WORLDS: readonly World[] = [
  {
    name: 'policies-10',
    scale: SMALLEST,
    size: { policies: 10 },
    cases: function* (cases) {
      yield* cases.all(4);
      yield* cases.all(6);
    },
  },
  { name: 'policies-1000', scale: '1,000 policies', size: { policies: 1_000 }, cases: compared },
  { name: 'policies-10000', scale: '10,000 policies', size: { policies: 10_000 }, large: true, cases: compared },
  { name: 'prefixes-1', scale: '1 prefix', size: { policies: 10, prefixes: 1 }, cases: (cases) => cases.prefixes() },
  {
    name: 'prefixes-1000',
    scale: '1,000 prefixes',
    size: { policies: 10, prefixes: 1_000 },
    cases: (cases) => cases.prefixes(),
  },
  {
    name: 'prefixes-100000',
    scale: '100,000 prefixes',
    size: { policies: 10, prefixes: 100_000 },
    large: true,
    cases: (cases) => cases.prefixes(),
  },
  {
    name: 'flows-1000',
    scale: '1,000 flows',
    size: { policies: 10, crowd: CROWD },
    large: true,
    cases: (cases) => cases.crowd(4, 4),
  },
  {
    name: 'flows-1000000',
    scale: '1,000,000 flows',
    size: { policies: 10, crowd: CROWD },
    large: true,
    cases: (cases) => cases.crowd(4_000, 4),
  },
];

function* compared(cases: Cases): Generator<Case> {
  yield* cases.established(4);
  yield* cases.fresh(4, 'TCP');
  yield* cases.drops(4, 'quiet', 'drop, no event');
  yield* cases.unisolated(4);
}

/** Loads every world, measures all its cases in turn, and leaves nothing behind. */
export async function benchPath({ quick, only }: Options, signal: AbortSignal): Promise<PathReport> {
  const worlds = WORLDS.filter(({ large }) => !quick || large === undefined);
  using namespace = new BenchNamespace(LOCAL.length + CROWD);
  const testbeds: Testbed[] = [];
  try {
    const cases: Case[] = [];
    for (const { name, scale, size, cases: of } of worlds) {
      signal.throwIfAborted();
      progress(`loading ${scale}`);
      const variants: Variant[] = name === 'policies-10' ? ['quiet', 'telling', 'limited', 'asking'] : ['quiet'];
      const testbed = await Testbed.open({ name, size, namespace, objects: OBJECTS, variants });
      const [first] = testbeds;
      testbeds.push(testbed);
      if (first !== undefined && of === compared) testbed.shareFlows(first);
      cases.push(
        ...namespace.run(() => [...of(new Cases(testbed, scale))]).filter((one) => !only || only.test(textOf(one))),
      );
    }
    if (cases.length === 0) throw new UsageError(`nothing to measure matches ${only}`);
    const rounds = quick ? 25 : 100;
    const onRound = (round: number) => progress(`${cases.length} cases, round ${round + 1} of ${rounds}`);
    const measured = await measure(cases, { namespace, rounds, signal, onRound });
    return reportOf(cases, measured);
  } finally {
    progress('');
    for (const testbed of testbeds) await testbed.close();
  }
}

function textOf({ group, hook, family, name, scale }: Case): string {
  return `${group} ${hook} IPv${family} ${name} ${scale}`;
}

/** One line that stays where it is. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
