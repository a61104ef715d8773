/** Threads that test-run programs over and over while the main thread changes states, and count what came of it. */
import { Worker } from 'node:worker_threads';

export interface HammerStep {
  readonly programId: number;
  readonly packet: Uint8Array;
  readonly ifindex: number;
  readonly ingressIfindex: number;
  readonly mark: number;
}

export interface HammerTask {
  readonly namespace: string;
  /** Run in this order, round and round. */
  readonly steps: readonly HammerStep[];
  /** A shared word: not 0 ends it. */
  readonly stop: SharedArrayBuffer;
}

export interface HammerResult {
  readonly runs: number;
  /** By step: how many runs passed, and how many were dropped. */
  readonly counts: readonly { readonly passed: number; readonly dropped: number }[];
}

export class Hammer {
  readonly #stop = new SharedArrayBuffer(4);
  readonly #workers: readonly Worker[];
  readonly #results: readonly Promise<HammerResult>[];

  /** Resolves once every thread has begun. */
  static async start(threads: number, task: Omit<HammerTask, 'stop'>): Promise<Hammer> {
    const hammer = new Hammer(threads, task);
    await Promise.all(hammer.#workers.map((worker) => new Promise((begun) => worker.once('message', begun))));
    return hammer;
  }

  private constructor(threads: number, task: Omit<HammerTask, 'stop'>) {
    const workerData: HammerTask = { ...task, stop: this.#stop };
    const file = new URL('./hammer-worker.ts', import.meta.url);
    this.#workers = Array.from({ length: threads }, () => new Worker(file, { workerData }));
    this.#results = this.#workers.map((worker) => resultOf(worker));
  }

  /** Ends the threads. @returns what all of them have counted */
  async end(): Promise<HammerResult> {
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    const results = await Promise.all(this.#results);
    return results.reduce((sum, one) => ({
      runs: sum.runs + one.runs,
      counts: sum.counts.map(({ passed, dropped }, step) => ({
        passed: passed + (one.counts[step]?.passed ?? 0),
        dropped: dropped + (one.counts[step]?.dropped ?? 0),
      })),
    }));
  }
}

function resultOf(worker: Worker): Promise<HammerResult> {
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: 'begun' | HammerResult) => {
      if (message !== 'begun') resolve(message);
    });
  });
}
