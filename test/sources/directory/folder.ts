/** A temporary folder of manifests and the changes that the directory source sees in it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { filter, firstValueFrom, Subject, type Subscription, startWith } from 'rxjs';
import { type ClusterChange, type ClusterObject, keyOf } from '../../../src/model/cluster.ts';
import { type DirectoryOptions, directorySource } from '../../../src/sources/directory/directory-source.ts';

export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'selvedge-manifests-'));

  constructor(files: Record<string, string> = {}) {
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Follows a source: every change so far, and the cluster that they add up to. */
export class Follower implements Disposable {
  readonly changes: ClusterChange[] = [];
  readonly objects = new Map<string, ClusterObject>();
  readonly #news = new Subject<void>();
  readonly #subscription: Subscription;

  constructor(paths: readonly string[], options: DirectoryOptions = {}) {
    this.#subscription = directorySource(paths, { quiet: 10, ...options }).subscribe((change) => {
      this.changes.push(change);
      for (const event of change.events) {
        if (event.type === 'delete') this.objects.delete(`${event.kind} ${event.key}`);
        else this.objects.set(`${event.object.kind} ${keyOf(event.object)}`, event.object);
      }
      this.#news.next();
    });
  }

  get last(): ClusterChange {
    const last = this.changes.at(-1);
    if (last === undefined) throw new Error('no change yet');
    return last;
  }

  /** Resolves once `holds`, now or after a change. */
  async until(holds: (follower: this) => boolean): Promise<void> {
    const held = this.#news.pipe(
      startWith(undefined),
      filter(() => holds(this)),
    );
    await firstValueFrom(held);
  }

  /** Resolves with the change after those seen so far. */
  async next(): Promise<ClusterChange> {
    const seen = this.changes.length;
    await this.until(() => this.changes.length > seen);
    return this.changes[seen] as ClusterChange;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}
