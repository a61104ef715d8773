/** A process of the benchmark and the questions that it answers, over Node's channel between processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type Answers = Readonly<Record<string, (argument: never) => unknown>>;
type Argument<A extends Answers, K extends keyof A> = Parameters<A[K]>[0];
type Answer<A extends Answers, K extends keyof A> = Awaited<ReturnType<A[K]>>;

interface Question {
  readonly id: number;
  readonly what: string;
  readonly argument: unknown;
}

export interface ChildOptions {
  /** Network namespace to run in. */
  readonly namespace: string;
  /** Of Node. */
  readonly flags?: readonly string[];
  /** Runs as a pod would: its service account in the usual place, which nobody else sees. */
  readonly account?: { readonly host: string; readonly port: string; readonly folder: string };
}

const ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount';
const AS_POD = `mount -t tmpfs none /run && mkdir -p ${ACCOUNT} && cp "$0"/* ${ACCOUNT} && exec "$@"`;

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Called by the child: answers until the channel closes. */
export function answer(answers: Answers): void {
  process.on('message', async ({ id, what, argument }: Question) => {
    try {
      process.send?.({ id, value: await answers[what]?.(argument as never) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? `${error.stack}` : String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
}

export class Child<A extends Answers> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #gone: Promise<void>;
  #id = 0;

  constructor(script: string, { namespace, flags = [], account }: ChildOptions) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const command = [process.execPath, ...flags, path];
    const all =
      account === undefined ? command : ['unshare', '--mount', 'sh', '-c', AS_POD, account.folder, ...command];
    this.#process = spawn('nsenter', [`--net=/run/netns/${namespace}`, ...all], {
      stdio: ['ignore', 'inherit', process.env.BENCH_LOG === undefined ? 'ignore' : 'inherit', 'ipc'],
      env: {
        ...process.env,
        ...(account && { KUBERNETES_SERVICE_HOST: account.host, KUBERNETES_SERVICE_PORT: account.port }),
      },
    });
    this.#process.on('message', ({ id, value, error }: Reply) => {
      const open = this.#open.get(id);
      this.#open.delete(id);
      if (error === undefined) open?.resolve(value);
      else open?.reject(new Error(`${script}: ${error}`));
    });
    this.#gone = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        for (const { reject } of this.#open.values()) reject(new Error(`${script} ended with ${signal ?? code}`));
        resolve();
      });
    });
  }

  ask<K extends keyof A & string>(what: K, argument?: Argument<A, K>): Promise<Answer<A, K>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#open.set(++this.#id, { resolve, reject });
    this.#process.send({ id: this.#id, what, argument } satisfies Question);
    return promise as Promise<Answer<A, K>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It ends at once, without closing anything.
    if (this.#process.connected) this.#process.disconnect();
    await this.#gone;
  }
}

/** Milliseconds of the clock that all processes of the machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
