/** Who may do what at the test API server, and the failures that a test asked for. */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { ApiResource } from './objects.ts';
import { failure, forbidden, type Status } from './status.ts';

export type Verb = 'list' | 'watch';

export interface Failure {
  /** Plural name; absent: all. */
  readonly resource?: string;
  readonly verb?: Verb;
  readonly code: number;
  readonly message?: string;
  /** In seconds. */
  readonly retryAfter?: number;
  /** How many requests fail so; default 1. */
  readonly times?: number;
}

export interface Refusal {
  readonly status: Status;
  readonly headers: Readonly<Record<string, string>>;
}

export class Gate {
  /** Bearer tokens that are accepted; where there were none from the beginning, nor `certificates`, everybody is. */
  readonly tokens: Set<string>;
  readonly #certificates: boolean;
  readonly #everybody: boolean;
  readonly #forbidden = new Set<string>();
  #failures: { failure: Failure; left: number }[] = [];

  constructor(tokens: readonly string[], certificates: boolean) {
    this.tokens = new Set(tokens);
    this.#certificates = certificates;
    this.#everybody = tokens.length === 0 && !certificates;
  }

  /** The next requests fail so. */
  fail(wanted: Failure): void {
    this.#failures.push({ failure: wanted, left: wanted.times ?? 1 });
  }

  forbid(plural: string, verb: Verb): void {
    this.#forbidden.add(`${verb} ${plural}`);
  }

  allow(plural: string, verb: Verb): void {
    this.#forbidden.delete(`${verb} ${plural}`);
  }

  refusal(request: IncomingMessage, resource: ApiResource, verb: Verb): Refusal | undefined {
    const wanted = this.#take(resource, verb);
    if (wanted !== undefined) {
      const headers: Record<string, string> = {};
      if (wanted.retryAfter !== undefined) headers['retry-after'] = `${wanted.retryAfter}`;
      return { status: failure(wanted.code, wanted.message ?? `the test wants a ${wanted.code}`), headers };
    }
    const user = this.#user(request);
    if (user === undefined) return { status: failure(401, 'Unauthorized'), headers: {} };
    if (!this.#forbidden.has(`${verb} ${resource.plural}`)) return undefined;
    return { status: forbidden(user, verb, resource), headers: {} };
  }

  #take({ plural }: ApiResource, verb: Verb): Failure | undefined {
    const found = this.#failures.find(
      ({ failure: { resource = plural, verb: which = verb } }) => resource === plural && which === verb,
    );
    if (found === undefined) return undefined;
    found.left--;
    this.#failures = this.#failures.filter(({ left }) => left > 0);
    return found.failure;
  }

  #user({ headers, socket }: IncomingMessage): string | undefined {
    const token = /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1];
    if (token !== undefined && this.tokens.has(token)) return 'system:serviceaccount:kube-system:selvedge';
    const tls = socket as Partial<TLSSocket>;
    if (this.#certificates && tls.authorized) return String(tls.getPeerCertificate?.().subject?.CN);
    return this.#everybody ? 'system:admin' : undefined;
  }
}
