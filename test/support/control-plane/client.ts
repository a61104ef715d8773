/** Requests from inside a network namespace, by a thread that lives there: Node opens a connection later than it is asked to. */
import { Worker } from 'node:worker_threads';

export interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** PEM; for HTTPS. */
  readonly authority?: string;
}

export interface Answer {
  /** 0: none came; the body says why. */
  readonly status: number;
  readonly body: string;
}

export class NamespacedClient implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #asked = 0;

  constructor(namespace: string) {
    this.#worker = new Worker(new URL('./client-thread.ts', import.meta.url), { workerData: namespace });
    this.#worker.on('message', ({ id, ...answer }: Answer & { id: number }) => {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  ask(request: Request): Promise<Answer> {
    const id = this.#asked++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ id, ...request });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
