/**
 * Manifests -> a lab that follows them, with an enforcer beside it:
 *
 *   source ──ClusterChange──▶ Lab.update ──▶ Enforcer.follow ──▶ Enforcer.settled ──▶ onSettled (matrix, probes)
 *
 * One state at a time; what comes meanwhile is taken together, and a wait for a state that is over is given up.
 */
import { map, type Observable, Subscription } from 'rxjs';
import type { ClusterChange } from '../model/cluster.ts';
import type { Enforcer } from './agents/enforcer.ts';
import { type ClusterView, ClusterViews } from './cluster-view.ts';
import { Lab } from './lab.ts';
import { LabError } from './lab-error.ts';
import type { Backend } from './network/node-plan.ts';

export interface LiveLabOptions {
  readonly source: Observable<ClusterChange>;
  readonly backend: Backend;
  /** See LabOptions. */
  readonly services?: boolean;
  readonly cni?: boolean;
  readonly enforcer: (lab: Lab) => Enforcer;
  /** Every state as it is seen, before anything is done about it. */
  readonly onView?: (view: ClusterView) => void;
  /** Each state once it is in place and enforced; the next waits for it. `over` is aborted when there is a next. */
  readonly onSettled: (lab: Lab, view: ClusterView, over: AbortSignal) => Promise<void>;
  /** What keeps a state from being in place; the state before may stay. */
  readonly onProblem: (problem: LabError) => void;
}

/** Runs until the signal; resolves when everything is gone, rejects with what cannot be gone on from, everything gone too. */
export async function runLiveLab(options: LiveLabOptions, signal: AbortSignal): Promise<void> {
  const subscription = new Subscription();
  const inbox = new Inbox(signal);
  const views = new ClusterViews();
  subscription.add(options.source.pipe(map((change) => views.next(change))).subscribe((view) => inbox.put(view)));
  let lab: Lab | undefined;
  let enforcer: Enforcer | undefined;
  try {
    for (let view = await inbox.take(); view !== undefined; view = await inbox.take()) {
      options.onView?.(view);
      if (!view.synced) continue;
      try {
        if (lab === undefined) {
          lab = await Lab.start({ ...options, cluster: view.cluster });
          enforcer = options.enforcer(lab);
        } else await lab.update(view.cluster);
        await enforcer?.follow(lab.interfaces());
        await enforcer?.settled(view.revision, inbox.over);
        await options.onSettled(lab, view, inbox.over);
      } catch (error) {
        if (inbox.over.aborted && error === inbox.over.reason) continue;
        if (!(error instanceof LabError)) throw error;
        options.onProblem(error);
      }
    }
  } finally {
    subscription.unsubscribe();
    await enforcer?.stop();
    lab?.close();
  }
}

/** The newest view that nobody has taken yet. */
class Inbox {
  readonly #signal: AbortSignal;
  #view: ClusterView | undefined;
  #notify: (() => void) | undefined;
  #over = new AbortController();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake());
  }

  /** Aborted as soon as the view that was taken last is not the newest any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  put(view: ClusterView): void {
    this.#view = view;
    this.#wake();
  }

  /** Undefined once the signal is given. */
  async take(): Promise<ClusterView | undefined> {
    while (this.#view === undefined && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
      });
    }
    if (this.#signal.aborted) return undefined;
    const view = this.#view;
    this.#view = undefined;
    this.#over = new AbortController();
    return view;
  }

  #wake(): void {
    this.#over.abort();
    this.#notify?.();
  }
}
