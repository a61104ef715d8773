/** How long to wait before the next attempt, and waiting. */
import type { SchedulerLike, Subject } from 'rxjs';

export interface BackOffOptions {
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Before the second attempt, in milliseconds; doubles with each failure. */
  readonly first: number;
  readonly most: number;
}

/** After so many failures in a row, the first 1: between half of the delay and all of it, so that nodes do not come together. */
export function delayAfter(failures: number, { first, most, random }: BackOffOptions): number {
  const whole = Math.min(most, first * 2 ** (failures - 1));
  return Math.round((whole * (1 + random())) / 2);
}

export interface Wait {
  readonly delay: number;
  readonly scheduler: SchedulerLike;
  readonly signal: AbortSignal;
  /** Ends the wait early. */
  readonly wake?: Subject<void>;
}

/** Resolves at the end, or when the signal aborts. */
export function wait({ delay, scheduler, signal, wake }: Wait): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.unsubscribe();
      woken?.unsubscribe();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = scheduler.schedule(end, delay);
    const woken = wake?.subscribe(end);
    signal.addEventListener('abort', end);
  });
}
