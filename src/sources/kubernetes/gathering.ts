/** The events and warnings of all kinds to changes of the cluster: what comes in one turn of the event loop is one change. */
import type { ClusterChange, ClusterEvent, Warning } from '../../model/cluster.ts';

export interface GatheringParts {
  readonly warnings: () => readonly Warning[];
  readonly synced: () => boolean;
  readonly emit: (change: ClusterChange) => void;
}

export class Gathering {
  readonly #parts: GatheringParts;
  #events: ClusterEvent[] = [];
  #warnings: readonly Warning[] = [];
  #stale = false;
  #synced = false;
  #turn: NodeJS.Immediate | undefined;

  constructor(parts: GatheringParts) {
    this.#parts = parts;
  }

  add(events: readonly ClusterEvent[]): void {
    for (const event of events) this.#events.push(event);
    this.#wake();
  }

  /** The warnings are others than before. */
  warn(): void {
    this.#stale = true;
    this.#wake();
  }

  close(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  #wake(): void {
    // Immediates run when every socket that had something was read.
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const events = this.#events;
    const synced = this.#parts.synced();
    if (events.length === 0 && !this.#stale && synced === this.#synced) return;
    if (this.#stale || synced !== this.#synced) this.#warnings = this.#parts.warnings();
    this.#events = [];
    this.#stale = false;
    this.#synced = synced;
    this.#parts.emit({ events, warnings: this.#warnings, synced });
  }
}
