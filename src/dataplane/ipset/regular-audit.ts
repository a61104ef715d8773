/** Every few seconds: whether what is in the kernel is as it was left, by looks that no state waits for. */

export interface RegularAuditOptions {
  /** Milliseconds; 0 for never. */
  readonly every: number;
  /** What is amiss; while states are written it may see halves, or fail. */
  readonly look: () => Promise<readonly string[]>;
  /** Looks once more, with no state written meanwhile, and mends what it finds. Never rejects. */
  readonly mend: () => Promise<void>;
  /** How often a state began to be written, and was: odd while one is. */
  readonly steps: () => number;
}

/** So many looks in a row may fall together with changes before one is taken that holds them up. */
const MOST_DISTURBED = 6;

export class RegularAudit {
  readonly #options: RegularAuditOptions;
  readonly #timer: NodeJS.Timeout | undefined;
  #running = false;
  #disturbed = 0;

  constructor(options: RegularAuditOptions) {
    this.#options = options;
    if (options.every > 0) this.#timer = setInterval(() => void this.#run(), options.every).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** One at a time: with many rules a look may take longer than the time between two. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      if (!(await this.#looksWell())) await this.#options.mend();
    } finally {
      this.#running = false;
    }
  }

  async #looksWell(): Promise<boolean> {
    const { look, steps } = this.#options;
    const before = steps();
    const calm = () => before % 2 === 0 && steps() === before;
    const found = calm() ? await look().catch(() => undefined) : undefined;
    const well = found?.length === 0;
    if (!well && !calm() && ++this.#disturbed < MOST_DISTURBED) return true;
    this.#disturbed = 0;
    return well;
  }
}
