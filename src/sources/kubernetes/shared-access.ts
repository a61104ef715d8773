/** Credentials that may take long to give what a request needs -> asked once for all who wait; nobody waits for ever. */
import type { SchedulerLike } from 'rxjs';
import { ApiError } from './api-error.ts';
import type { Access, Credentials } from './credentials.ts';

export interface SharedAccessOptions {
  readonly scheduler: SchedulerLike;
  /** How long one waits, in milliseconds. */
  readonly within: number;
}

export class SharedAccess {
  readonly #options: SharedAccessOptions;
  #asked: Promise<Access> | undefined;

  constructor(options: SharedAccessOptions) {
    this.#options = options;
  }

  /** Somebody is asked and has not answered: to ask another would only make one more who is silent. */
  get pending(): boolean {
    return this.#asked !== undefined;
  }

  /** @throws {ApiError} what the credentials throw, or with code CREDENTIALS that they say nothing */
  of(credentials: Credentials, signal: AbortSignal): Promise<Access> {
    this.#asked ??= credentials.access().finally(() => {
      this.#asked = undefined;
    });
    return this.#inTime(this.#asked, signal);
  }

  async #inTime(asked: Promise<Access>, signal: AbortSignal): Promise<Access> {
    const { scheduler, within } = this.#options;
    const { promise, reject } = Promise.withResolvers<never>();
    const late = scheduler.schedule(() => {
      reject(new ApiError('CREDENTIALS', `nothing came within ${within / 1000} s; what is asked is waited for`));
    }, within);
    const aborted = () => reject(signal.reason);
    signal.addEventListener('abort', aborted);
    try {
      return await Promise.race([asked, promise]);
    } finally {
      late.unsubscribe();
      signal.removeEventListener('abort', aborted);
    }
  }
}
