/**
 * Runs one step at a time, again as long as something was marked meanwhile; a step that fails is tried again, later each
 * time. What is marked during a step is taken together by the next.
 */

/** First delay after a failure and the longest, in milliseconds; doubled in between. */
const RETRY_MS = { first: 100, longest: 10_000 } as const;

export class Reconciler {
  readonly #step: () => Promise<void>;
  readonly #onFailure: (error: unknown, retryMs: number) => void;
  #marked = false;
  #running: Promise<void> | undefined;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  /** Something may wait for the next step that somebody else marks, or for this. */
  #unhurried: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(step: () => Promise<void>, onFailure: (error: unknown, retryMs: number) => void) {
    this.#step = step;
    this.#onFailure = onFailure;
  }

  /** Something may differ from what the last step saw. */
  mark(): void {
    this.#marked = true;
    clearTimeout(this.#unhurried);
    this.#unhurried = undefined;
    if (this.#closed || this.#running !== undefined || this.#retry !== undefined) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      // Marked between the loop's last look and here.
      if (this.#marked) this.mark();
    });
  }

  /** The same within so many milliseconds: with another mark, if there is one by then. */
  markLater(milliseconds: number): void {
    this.#unhurried ??= setTimeout(() => this.mark(), milliseconds).unref();
  }

  /** No step begins after this; resolves when the one that runs has ended. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#unhurried);
    await this.#running;
  }

  async #run(): Promise<void> {
    // One turn of the loop lets what arrives together be taken together.
    await Promise.resolve();
    while (this.#marked && !this.#closed) {
      this.#marked = false;
      try {
        await this.#step();
        this.#failures = 0;
      } catch (error) {
        this.#marked = true;
        this.#later(error);
        return;
      }
    }
  }

  #later(error: unknown): void {
    const delay = Math.min(RETRY_MS.first * 2 ** this.#failures++, RETRY_MS.longest);
    this.#onFailure(error, delay);
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.mark();
    }, delay);
  }
}
