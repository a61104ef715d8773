/** Cases -> nanoseconds of a packet: many short goes, all cases in turn, the lower quartile of each. */

import type { Case, Shot } from './case.ts';
import type { BenchNamespace } from './testbed.ts';

export interface Measured {
  /** Nanoseconds of a packet, without what driving it takes. */
  readonly ns: number;
  /** From the lower quartile to the median, as a part of the first: how much the goes disagree. */
  readonly spread: number;
}

export interface Measurement {
  readonly empty: Measured;
  readonly cases: readonly Measured[];
}

export interface MeasureOptions {
  readonly namespace: BenchNamespace;
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly onRound?: (round: number) => void;
}

const EMPTY_REPEAT = 50_000;

/** @throws Error when a packet does not end as its case says */
export async function measure(cases: readonly Case[], options: MeasureOptions): Promise<Measurement> {
  const { namespace, rounds, signal, onRound } = options;
  const first = cases[0]?.shots[0] as Shot;
  const samples = cases.map((): number[] => []);
  const driven = { plain: [] as number[], ports: [] as number[] };
  const empty: number[] = [];
  const next = cases.map(({ first = 0 }) => first);
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    onRound?.(round);
    for (const [index, one] of cases.entries()) {
      namespace.run(() => {
        if (index % 8 === 0) {
          empty.push(timed({ ...first, program: 'empty' }, EMPTY_REPEAT).ns);
          driven.plain.push(
            timed({ ...first, program: 'drive_empty', context: { cb: [1, 0, 0, 34, 0] } }, EMPTY_REPEAT).ns,
          );
          driven.ports.push(
            timed({ ...first, program: 'drive_empty', context: { cb: [1, 4, 0, 34, 0] } }, EMPTY_REPEAT).ns,
          );
        }
        samples[index]?.push(go(one, next[index] as number));
        next[index] = ((next[index] as number) + one.repeat) % 32_768;
      });
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const base = summary(empty).ns;
  const [plain, ports] = [summary(driven.plain).ns - base, summary(driven.ports).ns - base];
  return {
    empty: summary(empty),
    cases: cases.map((one, index) => {
      const { ns, spread } = summary(samples[index] as number[]);
      const [shot] = one.shots as [Shot];
      const isDriven = shot.program.startsWith('drive_');
      const drive = !isDriven ? 0 : (shot.context.cb?.[1] ?? 0) > 0 ? ports : plain;
      return { ns: ns - drive, spread };
    }),
  };
}

function go(one: Case, first: number): number {
  one.prepare?.(first);
  let sum = 0;
  for (const shot of one.shots) {
    const { context } = shot;
    const cb = one.fresh ? [context.cb?.[0] ?? 0, context.cb?.[1] ?? 0, first, context.cb?.[3] ?? 0, 0] : context.cb;
    const { ns, passed } = timed({ ...shot, context: { ...context, ...(cb !== undefined && { cb }) } }, one.repeat);
    if (passed !== one.passes)
      throw new Error(
        `${one.group} (${one.scale}), ${one.hook} IPv${one.family} ${one.name}: the packet ${passed ? 'passes' : 'is dropped'}`,
      );
    sum += ns;
    if (shot.variant === 'telling' || shot.variant === 'limited') shot.testbed.consume();
  }
  return sum / one.shots.length;
}

/** The kernel's own figure is in whole nanoseconds: where a call is long enough, the clock tells more. */
function timed(shot: Shot, repeat: number): { ns: number; passed: boolean } {
  const { testbed, variant, program, packet, context } = shot;
  const loaded = testbed.program(variant, program);
  const start = process.hrtime.bigint();
  const run = loaded.testRun({ packet, context, repeat, dataOut: packet.length });
  const clock = Number(process.hrtime.bigint() - start) / repeat;
  const ns = repeat < 10_000 ? run.durationNs + 0.5 : clock;
  return { ns, passed: run.returnValue === -1 };
}

function summary(values: readonly number[]): Measured {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  return { ns: at(0.25), spread: at(0.5) / at(0.25) - 1 };
}
