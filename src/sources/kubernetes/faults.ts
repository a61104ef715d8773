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

/** The same for all kinds, in whatever words each attempt fails. */
const OF_THE_SERVER: readonly ApiErrorCode[] = ['UNREACHABLE', 'CERTIFICATE', 'CREDENTIALS', 'UNAUTHORIZED'];

export class Faults {
  readonly #byResource = new Map<Resource, Fault>();
  readonly #onNotice: (notice: Notice) => void;
  readonly #onWarnings: () => void;

  constructor(onNotice: (notice: Notice) => void, onWarnings: () => void) {
    this.#onNotice = onNotice;
    this.#onWarnings = onWarnings;
  }

  /** Says it, unless the same stands already: attempts that fail alike are one fault, in whatever words. */
  set(resource: Resource, server: string, error: ApiError): void {
    const before = this.#byResource.get(resource);
    if (before?.code === error.code) return;
    const object = server === '' ? 'API server' : `API server ${server}`;
    const fault = { code: error.code, object, message: wordsFor(error, resource.plural) };
    const standing = [...this.#byResource.values()].find((other) => areOne(other, fault));
    this.#byResource.set(resource, standing ?? fault);
    if (before !== undefined) this.#recovered(before);
    if (standing === undefined) this.#onNotice({ type: 'fault', ...fault });
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
    return [...new Set(this.#byResource.values())].map(({ object, message }) => ({
      object,
      field: '',
      message: `${message}; retried, and what was known stays in force`,
    }));
  }

  #recovered(fault: Fault): void {
    if ([...this.#byResource.values()].includes(fault)) return;
    this.#onNotice({ type: 'recovered', ...fault });
  }
}

function areOne(a: Fault, b: Fault): boolean {
  return a.code === b.code && (a.message === b.message || OF_THE_SERVER.includes(a.code));
}
