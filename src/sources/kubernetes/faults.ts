/** What stands between the agent and the API server now, each cause said once when it comes and once when it is gone. */
import type { Warning } from '../../model/cluster.ts';
import { type ApiError, type ApiErrorCode, wordsFor } from './api-error.ts';
import type { Resource } from './resources.ts';

/** For the log. A fault also stands among the warnings until it is gone. */
export interface Notice {
  readonly type: 'fault' | 'recovered';
  readonly code: ApiErrorCode;
  /** `API server https://10.0.0.1:6443`. */
  readonly object: string;
  /** What is wrong, or was, and what to do. */
  readonly message: string;
}

type Fault = Omit<Notice, 'type'>;

export class Faults {
  readonly #byResource = new Map<Resource, Fault>();
  readonly #onNotice: (notice: Notice) => void;
  readonly #onWarnings: () => void;

  constructor(onNotice: (notice: Notice) => void, onWarnings: () => void) {
    this.#onNotice = onNotice;
    this.#onWarnings = onWarnings;
  }

  has(resource: Resource): boolean {
    return this.#byResource.has(resource);
  }

  /** Says it, unless the same stands already: attempts that fail alike are one fault, in whatever words. */
  set(resource: Resource, server: string, error: ApiError): void {
    const before = this.#byResource.get(resource);
    if (before?.code === error.code) return;
    const object = server === '' ? 'API server' : `API server ${server}`;
    const fault = { code: error.code, object, message: wordsFor(error, resource.plural) };
    const news = !this.#stands(fault);
    this.#byResource.set(resource, fault);
    if (before !== undefined) this.#recovered(before);
    if (news) this.#onNotice({ type: 'fault', ...fault });
    this.#onWarnings();
  }

  clear(resource: Resource): void {
    const before = this.#byResource.get(resource);
    if (before === undefined) return;
    this.#byResource.delete(resource);
    this.#recovered(before);
    this.#onWarnings();
  }

  warnings(): Warning[] {
    const texts = new Map([...this.#byResource.values()].map((fault) => [textOf(fault), fault]));
    const words = (message: string) => `${message}; retried, and what was known stays in force`;
    return [...texts.values()].map(({ object, message }) => ({ object, field: '', message: words(message) }));
  }

  #recovered(fault: Fault): void {
    if (this.#stands(fault)) return;
    this.#onNotice({ type: 'recovered', ...fault });
  }

  #stands(fault: Fault): boolean {
    return [...this.#byResource.values()].some((other) => textOf(other) === textOf(fault));
  }
}

function textOf({ object, message }: Fault): string {
  return `${object} ${message}`;
}
