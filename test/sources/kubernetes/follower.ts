/** Follows the kubernetes source against the test API server: every change and notice so far, and the cluster that they add up to. */
import { filter, firstValueFrom, Subject, type Subscription, startWith } from 'rxjs';
import { type ClusterChange, type ClusterObject, keyOf } from '../../../src/model/cluster.ts';
import type { Notice } from '../../../src/sources/kubernetes/faults.ts';
import { type KubernetesOptions, kubernetesSource } from '../../../src/sources/kubernetes/kubernetes-source.ts';
import { Kubeconfig, type KubeconfigContent } from '../../support/api-server/kubeconfig.ts';

/** Delays that a test need not wait for; silence is another matter. */
export const HASTE = { first: 1, most: 4, proven: 1 } as const;

export interface FollowerOptions extends Partial<KubernetesOptions> {
  /** More than where the server is. */
  readonly access?: Omit<KubeconfigContent, 'server'>;
}

export class Follower implements Disposable {
  readonly changes: ClusterChange[] = [];
  readonly notices: Notice[] = [];
  readonly objects = new Map<string, ClusterObject>();
  readonly kubeconfig: Kubeconfig;
  readonly #news = new Subject<void>();
  readonly #subscription: Subscription;

  constructor(server: { readonly url: string }, { access, ...options }: FollowerOptions = {}) {
    this.kubeconfig = new Kubeconfig({ server: server.url, ...access });
    const source = kubernetesSource({
      node: 'node1',
      kubeconfig: this.kubeconfig.path,
      timing: HASTE,
      onNotice: (notice) => {
        this.notices.push(notice);
        this.#news.next();
      },
      ...options,
    });
    this.#subscription = source.subscribe((change) => {
      this.changes.push(change);
      for (const event of change.events) {
        if (event.type === 'delete') this.objects.delete(`${event.kind} ${event.key}`);
        else this.objects.set(`${event.object.kind} ${keyOf(event.object)}`, event.object);
      }
      this.#news.next();
    });
  }

  get last(): ClusterChange | undefined {
    return this.changes.at(-1);
  }

  get warnings(): string[] {
    return (this.last?.warnings ?? []).map(({ object, message }) => `${object}: ${message}`);
  }

  /** `Pod shop/web`, sorted. */
  ids(kind: string): string[] {
    return [...this.objects.keys()].filter((id) => id.startsWith(`${kind} `)).sort();
  }

  /** Resolves once `holds`, now or after a change or notice. */
  async until(holds: (follower: this) => unknown): Promise<void> {
    const held = this.#news.pipe(
      startWith(undefined),
      filter(() => Boolean(holds(this))),
    );
    await firstValueFrom(held);
  }

  synced(): Promise<void> {
    return this.until(({ last }) => last?.synced);
  }

  /** Resolves with the change after those seen so far. */
  async next(): Promise<ClusterChange> {
    const seen = this.changes.length;
    await this.until(() => this.changes.length > seen);
    return this.changes[seen] as ClusterChange;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    this.kubeconfig[Symbol.dispose]();
  }
}
