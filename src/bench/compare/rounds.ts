/** Runs over several engines -> their samples, interleaved: A B C and then A B C again, in each round once or several times. */
import { type Cell, MEASURES, type Measure, type Sample } from './contract.ts';

/** One load between two pods of one engine. */
export interface Run {
  readonly cell: Cell;
  /** What it does, for a person: `latency`. */
  readonly what: string;
  /** In the first of them only; in all when absent. */
  readonly rounds?: number | undefined;
  /** How often in a round; once when absent. */
  readonly turns?: number | undefined;
  sample(signal: AbortSignal): Promise<Sample>;
}

/** A measure of a cell, by turn, those of one round behind those of all rounds before; undefined where a turn has none. */
export interface Series {
  readonly cell: Cell;
  readonly measure: Measure;
  readonly values: (number | undefined)[];
}

export interface RoundsOptions {
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly onRun?: (round: number, run: Run) => void;
  /** Asked before each round: whether those that were are to be all. */
  readonly enough?: (round: number) => boolean;
  /** Told once of a run that failed twice: it is not tried again. */
  readonly onFailure: (run: Run, error: unknown) => void;
}

/** @param groups runs that are compared with each other */
export async function runRounds(groups: readonly (readonly Run[])[], options: RoundsOptions): Promise<Samples> {
  const { rounds, signal, onRun, enough, onFailure } = options;
  const samples = new Samples();
  const failed = new Set<Run>();
  for (let round = 0; round < rounds && enough?.(round) !== true; round++) {
    for (const group of groups) {
      for (const { run, turn } of turnsOf(group, round)) {
        signal.throwIfAborted();
        if (failed.has(run) || round >= (run.rounds ?? rounds)) continue;
        onRun?.(round, run);
        try {
          samples.add(run.cell, await twice(run, signal), turn);
        } catch (error) {
          signal.throwIfAborted();
          failed.add(run);
          onFailure(run, error);
        }
      }
    }
  }
  return samples;
}

/** Of one round. The same turn of two runs has the same number, also where one of them has fewer. */
function turnsOf(group: readonly Run[], round: number): { readonly run: Run; readonly turn: number }[] {
  const most = Math.max(...group.map(({ turns = 1 }) => turns));
  return Array.from({ length: most }, (_, index) => {
    const turn = round * most + index;
    return inOrder(group, turn).flatMap((run) => (index < (run.turns ?? 1) ? [{ run, turn }] : []));
  }).flat();
}

/** Who comes first changes from turn to turn, and so do the neighbours. */
export function inOrder<T>(group: readonly T[], turn: number): readonly T[] {
  const first = group.length === 0 ? 0 : turn % group.length;
  const rotated = [...group.slice(first), ...group.slice(0, first)];
  return turn % 2 === 0 ? rotated : rotated.reverse();
}

/** A run may fail for something that passes. */
async function twice(run: Run, signal: AbortSignal): Promise<Sample> {
  try {
    return await run.sample(signal);
  } catch {
    signal.throwIfAborted();
    return await run.sample(signal);
  }
}

/** What was measured so far. */
export class Samples {
  readonly #series = new Map<string, Series>();

  get series(): readonly Series[] {
    return [...this.#series.values()];
  }

  add(cell: Cell, sample: Sample, turn: number): void {
    for (const measure of Object.keys(MEASURES) as Measure[]) {
      const value = sample[measure];
      if (value !== undefined) this.#of(cell, measure).values[turn] = value;
    }
  }

  /** Rounds of the same cells are not joined: each series stands in one of them. */
  merge(other: Samples): void {
    for (const { cell, measure, values } of other.series) this.#of(cell, measure).values.push(...values);
  }

  #of(cell: Cell, measure: Measure): Series {
    const key = `${keyOfCell(cell)} ${measure}`;
    const known = this.#series.get(key) ?? { cell, measure, values: [] };
    this.#series.set(key, known);
    return known;
  }
}

export function keyOfCell({ engine, topology, traffic, policies }: Cell): string {
  return `${engine} ${placeOf({ topology, traffic, policies })}`;
}

/** What of a cell is alike for all engines. */
export function placeOf({ topology, traffic, policies }: Omit<Cell, 'engine'>): string {
  return `${topology} ${traffic} ${policies}`;
}
