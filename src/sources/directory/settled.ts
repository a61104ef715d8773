/** Bursts of notices to one notice each, once they have settled. */
import {
  debounceTime,
  exhaustMap,
  map,
  merge,
  type Observable,
  type SchedulerLike,
  share,
  startWith,
  take,
  timer,
} from 'rxjs';

export interface SettledOptions {
  /** How long it must be quiet, in milliseconds. */
  readonly quiet: number;
  /** When it is never quiet: how long to wait at most, in milliseconds. */
  readonly atMost: number;
  readonly scheduler: SchedulerLike;
}

export function settled(notices: Observable<unknown>, { quiet, atMost, scheduler }: SettledOptions): Observable<void> {
  const shared = notices.pipe(share());
  return shared.pipe(
    exhaustMap(() =>
      merge(shared.pipe(startWith(undefined), debounceTime(quiet, scheduler)), timer(atMost, scheduler)).pipe(
        take(1),
        map(() => undefined),
      ),
    ),
  );
}
