/**
 * The cluster as a source tells it -> the same with the addresses that the CNI plugin has told of this node's pods: those
 * come about a second before the API server's. What the plugin says is believed: it is root behind a socket of mode 0600.
 */
import { map, merge, Observable, Subject } from 'rxjs';
import type { Address } from '../model/address.ts';
import { type ClusterChange, type ClusterEvent, keyOf, type ObjectKey, type Pod } from '../model/cluster.ts';

/** What the plugin's last word on a pod was; it stands until the pod's record says something new. */
interface Claim {
  /** None once its sandbox is gone: the address may be another pod's before the record says so. */
  readonly addresses: readonly Address[];
  /** Those that the record had when it was made, as text. */
  readonly before: string;
}

export class CniClaims {
  readonly #node: string;
  /** As the source has them, of this node. */
  readonly #records = new Map<ObjectKey, Pod>();
  readonly #claims = new Map<ObjectKey, Claim>();
  /** The container of each pod's last ADD: a DEL of an earlier one takes nothing away. */
  readonly #sandboxes = new Map<ObjectKey, string>();
  readonly #own = new Subject<ClusterChange>();
  #last: Omit<ClusterChange, 'events'> | undefined;

  constructor(node: string) {
    this.#node = node;
  }

  /** The source with what the plugin says; ends and fails with the source. */
  over(source: Observable<ClusterChange>): Observable<ClusterChange> {
    const told = source.pipe(map((change) => this.#take(change)));
    return new Observable((subscriber) => {
      const both = merge(told, this.#own).subscribe({
        next: (change) => subscriber.next(change),
        error: (error) => subscriber.error(error),
      });
      return () => both.unsubscribe();
    });
  }

  /** The pod's record as the source has it; undefined while it knows of none on this node. */
  record(pod: ObjectKey): Pod | undefined {
    return this.#records.get(pod);
  }

  /** ADD: the pod has these addresses from now on. */
  claim(pod: ObjectKey, sandbox: string, addresses: readonly Address[]): void {
    this.#sandboxes.set(pod, sandbox);
    this.#put(pod, addresses);
  }

  /** DEL: it has none any more, if that was its last sandbox. */
  release(pod: ObjectKey, sandbox: string): void {
    if (this.#sandboxes.get(pod) !== sandbox) return;
    this.#sandboxes.delete(pod);
    this.#put(pod, []);
  }

  /** GC: all sandboxes but these are gone. */
  retain(sandboxes: ReadonlySet<string>): void {
    for (const [pod, sandbox] of [...this.#sandboxes]) if (!sandboxes.has(sandbox)) this.release(pod, sandbox);
  }

  #put(pod: ObjectKey, addresses: readonly Address[]): void {
    const record = this.#records.get(pod);
    const before = textOf(record?.addresses ?? []);
    if (textOf(addresses) === before) this.#claims.delete(pod);
    else this.#claims.set(pod, { addresses, before });
    if (record === undefined || this.#last === undefined) return;
    this.#own.next({ ...this.#last, events: [{ type: 'upsert', object: this.#claimed(record) }] });
  }

  #take({ events, ...rest }: ClusterChange): ClusterChange {
    this.#last = rest;
    return { ...rest, events: events.map((event) => this.#translated(event)) };
  }

  #translated(event: ClusterEvent): ClusterEvent {
    if (event.type === 'delete') {
      if (event.kind === 'Pod') this.#forget(event.key);
      return event;
    }
    const { object } = event;
    if (object.kind !== 'Pod') return event;
    if (object.node !== this.#node || object.hostNetwork) {
      this.#records.delete(keyOf(object));
      return event;
    }
    this.#records.set(keyOf(object), object);
    return { type: 'upsert', object: this.#claimed(object) };
  }

  /** One of the same name may have been added before its record comes, so a claim to an address outlives a record. */
  #forget(pod: ObjectKey): void {
    this.#records.delete(pod);
    const claim = this.#claims.get(pod);
    if (claim === undefined) return;
    if (claim.addresses.length === 0) this.#claims.delete(pod);
    else this.#claims.set(pod, { ...claim, before: '' });
  }

  #claimed(record: Pod): Pod {
    const key = keyOf(record);
    const claim = this.#claims.get(key);
    if (claim === undefined) return record;
    const now = textOf(record.addresses);
    if (now !== '' && now !== claim.before) {
      this.#claims.delete(key);
      return record;
    }
    return { ...record, addresses: claim.addresses };
  }
}

function textOf(addresses: readonly Address[]): string {
  return [...addresses].sort().join(' ');
}
