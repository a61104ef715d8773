/** Interfaces that come -> interfaces with their programs on: each at once, and what fails again until it is gone. */
import { interval, type Subscription } from 'rxjs';
import type { Dataplane } from './dataplane/contract.ts';
import type { Faults } from './faults.ts';
import type { NodeLinks } from './model/links.ts';
import type { AgentLog } from './observe/agent-log.ts';
import type { Arrivals } from './observe/arrivals.ts';
import type { Timings } from './observe/timings.ts';

export type LinkRole = 'pods' | 'exits';

interface Link {
  readonly ifindex: number;
  readonly name: string;
}

export interface GuardsParts {
  readonly dataplane: Dataplane;
  readonly faults: Faults;
  readonly arrivals: Arrivals;
  readonly told: AgentLog;
  readonly timings: Timings;
  /** Whether the interface still has this role, and anybody wants it guarded. */
  readonly isThere: (link: Link, role: LinkRole) => boolean;
}

const RETRY_MS = 1_000;
/** So many interfaces are looked at again in a second: who asks the kernel waits as long as others have its lock of the network. */
const LOOKS = { every: 1_000, at: 4 } as const;

export class Guards {
  readonly #parts: GuardsParts;
  /** Interfaces whose programs are on their way. */
  #underway = 0;
  /** Those that are tried again, and why. */
  readonly #unguarded = new Map<number, { readonly why: string; readonly retry: NodeJS.Timeout }>();

  constructor(parts: GuardsParts) {
    this.#parts = parts;
  }

  /**
   * One interface that cannot be guarded must not keep the others from it; it is tried again.
   *
   * @param since when it was seen, of `performance.now()`; undefined for one that is guarded once more
   */
  guard(link: Link, role: LinkRole, since: number | undefined): void {
    try {
      const attached = this.#parts.dataplane.guard(link.ifindex, role === 'pods' ? 'pod' : 'exit');
      if (attached === undefined) this.#onGuarded(link, role, since);
      else this.#await(attached, link, role, () => this.#onGuarded(link, role, since));
    } catch (error) {
      this.#onUnguarded(link, role, error);
    }
  }

  /** Whoever removes the programs' pins, or filters, takes them off: all interfaces are looked at in turn, and get them again. */
  lookAfter(links: () => NodeLinks | undefined): Subscription {
    let waiting: [Link, LinkRole][] = [];
    return interval(LOOKS.every).subscribe(() => {
      if (this.#underway + this.#unguarded.size > 0) return;
      if (waiting.length === 0) waiting = all(links());
      for (const [link, role] of waiting.splice(0, LOOKS.at)) this.#look(link, role);
    });
  }

  #look(link: Link, role: LinkRole): void {
    if (!this.#parts.isThere(link, role)) return;
    try {
      const attached = this.#parts.dataplane.guard(link.ifindex, role === 'pods' ? 'pod' : 'exit');
      if (attached === undefined) return;
      this.#await(attached, link, role, () => {
        if (this.#parts.isThere(link, role)) this.#parts.told.mended(link);
      });
    } catch (error) {
      this.#onUnguarded(link, role, error);
    }
  }

  #await(attached: Promise<void>, link: Link, role: LinkRole, done: () => void): void {
    this.#underway++;
    attached
      .then(done)
      .catch((error) => this.#onUnguarded(link, role, error))
      .finally(() => this.#underway--);
  }

  /** It is gone: its index may be another's next. */
  forget(ifindex: number): void {
    const { dataplane, arrivals, faults } = this.#parts;
    dataplane.forget(ifindex);
    this.#retryNoMore(ifindex);
    arrivals.forgetLink(ifindex);
    faults.linkIsWell(ifindex);
  }

  #onGuarded(link: Link, role: LinkRole, since: number | undefined): void {
    const { faults, arrivals, told, timings, isThere } = this.#parts;
    const { ifindex } = link;
    if (!isThere(link, role)) return;
    this.#retryNoMore(ifindex);
    faults.linkIsWell(ifindex);
    if (role === 'exits' || since === undefined) return;
    arrivals.noteLink(ifindex, since);
    told.guarded(link, since);
    timings.next({ what: 'guard', milliseconds: performance.now() - since });
  }

  #onUnguarded(link: Link, role: LinkRole, error: unknown): void {
    const { faults, told, timings, isThere } = this.#parts;
    const { ifindex } = link;
    const before = this.#retryNoMore(ifindex);
    if (!isThere(link, role)) return;
    faults.link(ifindex, error);
    timings.next({ what: 'failure', of: 'guard' });
    const why = String(error);
    // Each reason is said once.
    if (before !== why) told.failed('guard-failed', 'interface not guarded', error, { ifindex });
    const again = () => {
      if (isThere(link, role)) this.guard(link, role, undefined);
      else this.#retryNoMore(ifindex);
    };
    this.#unguarded.set(ifindex, { why, retry: setTimeout(again, RETRY_MS).unref() });
  }

  /** @returns why it was to be tried again */
  #retryNoMore(ifindex: number): string | undefined {
    const unguarded = this.#unguarded.get(ifindex);
    clearTimeout(unguarded?.retry);
    this.#unguarded.delete(ifindex);
    return unguarded?.why;
  }
}

function all(links: NodeLinks | undefined): [Link, LinkRole][] {
  if (links === undefined) return [];
  return (['pods', 'exits'] as const).flatMap((role) =>
    [...links[role].values()].map((link): [Link, LinkRole] => [link, role]),
  );
}
