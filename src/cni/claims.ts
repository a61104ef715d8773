/**
 * The cluster as a source tells it -> the same with the addresses that the CNI plugin has told of this node's pods: those
 * come about a second before the API server's. What the plugin says is believed: it is root behind a socket of mode 0600.
 */
import { map, merge, Observable, Subject } from 'rxjs';
import type { Address } from '../model/address.ts';
import { type ClusterChange, type ClusterEvent, keyOf, type ObjectKey, type Pod } from '../model/cluster.ts';
import type { StoredClaim } from './claims-file.ts';

/** The container of a pod's last ADD, and which pod of that name it is of, where the runtime says so. */
export interface Sandbox {
  readonly container: string;
  readonly instance?: number | undefined;
}

/** What the plugin's last word on a pod was; it stands until the pod's record says something new. */
interface Claim {
  /** None once its sandbox is gone: the address may be another pod's before the record says so. */
  readonly addresses: readonly Address[];
  /** Those that the record had when it was made, as text. */
  readonly before: string;
  readonly instance?: number | undefined;
  /** Whose record there was when it was made, if that was the pod of the same name before this one. */
  readonly former?: number | undefined;
}

export interface ClaimsOptions {
  readonly stored?: readonly StoredClaim[];
  /** Called with all that is known, whenever the plugin has said something, before that takes effect. */
  readonly save?: (claims: readonly StoredClaim[]) => void;
}

export class CniClaims {
  readonly #node: string;
  readonly #save: (claims: readonly StoredClaim[]) => void;
  /** As the source has them, of this node. */
  readonly #records = new Map<ObjectKey, Pod>();
  readonly #claims = new Map<ObjectKey, Claim>();
  /** A DEL of an earlier one takes nothing away. */
  readonly #sandboxes = new Map<ObjectKey, Sandbox>();
  readonly #own = new Subject<ClusterChange>();
  /** Of an agent before this one, until the source has told of all pods: those of which it says nothing are no more. */
  #inherited: Set<ObjectKey>;
  #last: Omit<ClusterChange, 'events'> | undefined;

  constructor(node: string, { stored = [], save = () => {} }: ClaimsOptions = {}) {
    this.#node = node;
    this.#save = save;
    this.#inherited = new Set(stored.map(({ pod }) => pod));
    for (const { pod, sandbox, instance, claim } of stored) {
      if (sandbox !== undefined) this.#sandboxes.set(pod, { container: sandbox, instance });
      if (claim !== undefined) this.#claims.set(pod, { ...claim, instance });
    }
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
  claim(pod: ObjectKey, sandbox: Sandbox, addresses: readonly Address[]): void {
    this.#sandboxes.set(pod, sandbox);
    this.#put(pod, addresses, sandbox.instance);
  }

  /** DEL: it has none any more, if that was its last sandbox. */
  release(pod: ObjectKey, container: string): void {
    const sandbox = this.#sandboxes.get(pod);
    if (sandbox?.container !== container) return;
    this.#sandboxes.delete(pod);
    this.#put(pod, [], sandbox.instance);
  }

  /** GC: all sandboxes but these are gone. */
  retain(containers: ReadonlySet<string>): void {
    for (const [pod, { container }] of [...this.#sandboxes])
      if (!containers.has(container)) this.release(pod, container);
  }

  #put(pod: ObjectKey, addresses: readonly Address[], instance: number | undefined): void {
    this.#inherited.delete(pod);
    const record = this.#records.get(pod);
    const former = record !== undefined && areTwo(record.instance, instance) ? record.instance : undefined;
    const before = former === undefined ? textOf(record?.addresses ?? []) : '';
    if (former === undefined && textOf(addresses) === before) this.#claims.delete(pod);
    else this.#claims.set(pod, { addresses, before, instance, former });
    this.#save(this.#stored());
    if (record === undefined || this.#last === undefined) return;
    this.#own.next({ ...this.#last, events: [{ type: 'upsert', object: this.#claimed(record) }] });
  }

  #stored(): StoredClaim[] {
    const pods = new Set([...this.#sandboxes.keys(), ...this.#claims.keys()]);
    return [...pods].map((pod) => {
      const sandbox = this.#sandboxes.get(pod);
      const claim = this.#claims.get(pod);
      const { addresses, before, former } = claim ?? {};
      return {
        pod,
        sandbox: sandbox?.container,
        instance: claim?.instance ?? sandbox?.instance,
        ...(addresses !== undefined && before !== undefined && { claim: { addresses, before, former } }),
      };
    });
  }

  #take({ events, ...rest }: ClusterChange): ClusterChange {
    this.#last = rest;
    const translated = events.map((event) => this.#translated(event));
    if (rest.synced) this.#forgetInherited();
    return { ...rest, events: translated };
  }

  #forgetInherited(): void {
    for (const pod of this.#inherited) {
      if (this.#records.has(pod)) continue;
      this.#claims.delete(pod);
      this.#sandboxes.delete(pod);
    }
    this.#inherited = new Set();
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
    const instance = this.#records.get(pod)?.instance;
    this.#records.delete(pod);
    const claim = this.#claims.get(pod);
    if (claim === undefined) return;
    const isItsOwn = instance !== undefined && claim.instance === instance;
    if (isItsOwn || claim.addresses.length === 0) this.#claims.delete(pod);
    else this.#claims.set(pod, { ...claim, before: '', former: undefined });
  }

  #claimed(record: Pod): Pod {
    const key = keyOf(record);
    const claim = this.#claims.get(key);
    if (claim === undefined) return record;
    if (areTwo(record.instance, claim.instance)) {
      // A kubelet starts a pod once the one of that name before it has ended.
      return record.instance === claim.former ? { ...record, addresses: [] } : record;
    }
    const now = textOf(record.addresses);
    if (now !== '' && now !== claim.before) {
      this.#claims.delete(key);
      return record;
    }
    return { ...record, addresses: claim.addresses };
  }
}

/** Whether both are known and not the same pod's. */
export function areTwo(one: number | undefined, other: number | undefined): boolean {
  return one !== undefined && other !== undefined && one !== other;
}

function textOf(addresses: readonly Address[]): string {
  return [...addresses].sort().join(' ');
}
