/**
 * The grid, run: every engine up in a lab of its own, all holding the same policies, and each load over one after the other.
 *
 *   planGrid ──Stage──▶ Engine.load ──▶ warm-up ──▶ runRounds (A B C, B C A ...) ──Samples──▶ figuresOf ──▶ goalsOf
 */
import type { BenchReport, Cell, EngineName, Loads } from './contract.ts';
import { type Engine, EngineError } from './engines/engine.ts';
import { openEngine } from './engines/open-engine.ts';
import { figuresOf } from './figures.ts';
import { goalsOf } from './goals.ts';
import { formatSeconds, type Grid, LOADS, type Stage, type Step, stageEnd, turnsOf } from './grid.ts';
import { describeMachine, loadNow } from './machine.ts';
import { type Run, runRounds, Samples } from './rounds.ts';
import { runStep } from './steps.ts';

export interface CompareOptions {
  readonly grid: Grid;
  readonly quick: boolean;
  readonly loads: Loads;
  readonly signal: AbortSignal;
  /** Told what happens now, often. */
  readonly onProgress: (text: string) => void;
}

/** Seconds. */
const WARM_UP = 0.1;

/** What is left of all labs when this resolves or rejects is nothing. */
export async function compare(options: CompareOptions): Promise<BenchReport> {
  const started = new Date();
  const load = loadNow();
  const comparison = new Comparison(options);
  try {
    await comparison.open();
    for (const stage of options.grid.stages) await comparison.run(stage);
  } finally {
    await comparison.close();
  }
  const figures = figuresOf(comparison.samples.series);
  return {
    version: 1,
    machine: describeMachine(load),
    started: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1000,
    rounds: options.grid.rounds,
    quick: options.quick,
    figures,
    goals: goalsOf(figures),
    left: comparison.left,
  };
}

class Comparison {
  readonly samples = new Samples();
  readonly left: string[] = [];
  readonly #options: CompareOptions;
  readonly #engines = new Map<EngineName, Engine>();
  readonly #begun = performance.now();

  constructor(options: CompareOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { grid, signal, onProgress } = this.#options;
    onProgress(`starting ${grid.engines.join(', ')}`);
    const opened = await Promise.allSettled(grid.engines.map((name) => openEngine(name)));
    for (const [index, outcome] of opened.entries()) {
      const name = grid.engines[index] as EngineName;
      if (outcome.status === 'fulfilled') this.#engines.set(name, outcome.value);
      else this.#leave(name, outcome.reason);
    }
    signal.throwIfAborted();
    if (this.#engines.size === 0) throw new EngineError(`no engine works here: ${this.left.join('; ')}`);
  }

  async run(stage: Stage): Promise<void> {
    const { loads, signal, grid, onProgress } = this.#options;
    const end = stageEnd(grid, stage, this.#passed);
    for (const name of [...this.#engines.keys()]) await this.#load(name, stage);
    await this.#warmUp(stage);
    const count = stage.policies.toLocaleString('en');
    const samples = await runRounds(
      stage.steps.map((step) => this.#runsOf(step, stage.policies, loads)),
      {
        rounds: grid.rounds,
        signal,
        enough: this.#enough(count, end),
        onRun: (round, { cell, what }) =>
          onProgress(`${count} policies, round ${round + 1} of ${grid.rounds}: ${what}, ${cell.engine}`),
        onFailure: ({ cell, what }, error) => {
          const where = `${cell.policies} policies, ${cell.traffic}, ${cell.topology}`;
          this.left.push(`${cell.engine}, ${where}: ${what}: ${textOf(error)}`);
        },
      },
    );
    this.samples.merge(samples);
  }

  /** Whether another round as long as those before would end too late: the machine is slow, or has other work. */
  #enough(policies: string, end: number): (round: number) => boolean {
    const { rounds, leastRounds, seconds } = this.#options.grid;
    const begun = this.#passed;
    return (round) => {
      if (round < leastRounds) return false;
      const passed = this.#passed;
      if (passed + (passed - begun) / round <= end) return false;
      this.left.push(`${policies} policies: ${round} of ${rounds} rounds, to end in ${formatSeconds(seconds)}`);
      return true;
    };
  }

  /** Seconds. */
  get #passed(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#engines.values()].map((engine) => engine[Symbol.asyncDispose]()));
    this.#engines.clear();
  }

  async #load(name: EngineName, { policies, loadings }: Stage): Promise<void> {
    const { signal, onProgress } = this.#options;
    const engine = this.#engines.get(name) as Engine;
    const cell: Cell = { engine: name, topology: 'one-node', traffic: 'allowed', policies };
    try {
      for (let round = 0; round < loadings; round++) {
        signal.throwIfAborted();
        onProgress(`loading ${policies.toLocaleString('en')} policies, ${name}`);
        const ms = await engine.load(policies, signal);
        if (ms !== undefined) this.samples.add(cell, { 'load-time': ms }, round);
      }
      if (policies > 0) this.samples.add(cell, await engine.memory(), 0);
    } catch (error) {
      signal.throwIfAborted();
      this.#leave(name, error, policies);
      this.#engines.delete(name);
      await engine[Symbol.asyncDispose]();
    }
  }

  /** Fills the caches that first packets fill: neighbours, routes, the way to the code. */
  async #warmUp({ steps }: Stage): Promise<void> {
    const { loads, signal, onProgress } = this.#options;
    for (const step of steps.filter(({ load }) => load === 'latency')) {
      for (const engine of this.#enginesOf(step)) {
        onProgress(`warming up ${engine.name}`);
        // Whatever fails here fails again in the rounds, and is told there.
        await runStep({ ...step, seconds: WARM_UP }, { engine, loads, signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  #runsOf(step: Step, policies: number, loads: Loads): Run[] {
    const { topology, traffic } = step;
    return this.#enginesOf(step).map((engine) => ({
      cell: { engine: engine.name, topology, traffic, policies },
      what: LOADS[step.load],
      rounds: step.rounds,
      turns: turnsOf(step, engine.name),
      sample: (signal) => runStep(step, { engine, loads, signal }),
    }));
  }

  #enginesOf({ engines }: Step): readonly Engine[] {
    return engines.flatMap((name) => this.#engines.get(name) ?? []);
  }

  #leave(name: EngineName, error: unknown, policies?: number): void {
    const from = policies === undefined ? '' : ` from ${policies.toLocaleString('en')} policies on`;
    this.left.push(`${name}${from}: ${textOf(error)}`);
  }
}

/** Its first line; of an agent that ended, its last words too. */
function textOf(error: unknown): string {
  const [first = '', ...others] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  return first.endsWith(':') ? `${first} ${others.at(-1) ?? ''}` : first;
}
