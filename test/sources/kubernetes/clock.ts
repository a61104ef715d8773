/** Time that goes on only when a test says so; what happens over real sockets meanwhile can be awaited by the delays it asks for. */
import {
  filter,
  firstValueFrom,
  type SchedulerAction,
  Subject,
  type Subscription,
  startWith,
  VirtualAction,
  VirtualTimeScheduler,
} from 'rxjs';

export class Clock extends VirtualTimeScheduler {
  readonly #news = new Subject<void>();

  constructor() {
    super(VirtualAction, 0);
  }

  override schedule<T>(work: (this: SchedulerAction<T>, state?: T) => void, delay?: number, state?: T): Subscription {
    const subscription = super.schedule(work, delay, state);
    this.#news.next();
    return subscription;
  }

  /** Delays that are being waited for, in milliseconds from now. */
  get pending(): number[] {
    return this.actions.filter(({ closed }) => !closed).map(({ delay }) => delay - this.frame);
  }

  /** Resolves when so many wait for just this. */
  async waiting(milliseconds: number, count = 1): Promise<void> {
    const asked = this.#news.pipe(
      startWith(undefined),
      filter(() => this.pending.filter((delay) => delay === milliseconds).length >= count),
    );
    await firstValueFrom(asked);
  }

  advance(milliseconds: number): void {
    this.maxFrames = this.frame + milliseconds;
    this.flush();
    this.frame = this.maxFrames;
  }
}
