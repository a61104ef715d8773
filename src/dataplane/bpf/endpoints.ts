/**
 * Bindings of interfaces -> slots, endpoint records and settings. A slot belongs to one pod with its addresses on one
 * interface, together with the tables of its flows; whatever of this changes, it becomes another slot with fresh ones.
 */
import { type Address, type Family, familyOf, type Prefix } from '../../model/address.ts';
import type { ObjectKey } from '../../model/cluster.ts';
import type { RulesetId } from '../../model/compiled.ts';
import type { Binding } from '../../model/links.ts';
import type { DesiredState } from '../contract.ts';
import type { Adopted } from './adopted.ts';
import type { SlotPool } from './slot-pool.ts';
import type { EndpointRecord, SlotEntry, Tables } from './tables.ts';

interface Bound {
  /** Whose connections its tables of flows hold: the interface, the pod, its addresses. */
  readonly owner: string;
  readonly pod: ObjectKey;
  readonly slot: number;
  readonly addresses: readonly Address[];
  readonly families: readonly Family[];
  /** The slot was in use before this process, with the same addresses. */
  readonly adopted: boolean;
}

interface Binder {
  readonly pod: ObjectKey;
  readonly record: EndpointRecord;
  /** What the interface had before this process. */
  readonly before: ReturnType<Adopted['endpointOf']>;
}

/** What a change may have touched. */
export interface Concerned {
  readonly pods: ReadonlySet<ObjectKey>;
  /** Addresses, and prefixes, that are no endpoint's. */
  readonly places: ReadonlySet<Address | Prefix>;
}

interface Putting {
  readonly state: DesiredState;
  readonly adopted: Adopted | undefined;
}

export interface EndpointsParts {
  readonly tables: Tables;
  readonly slots: SlotPool;
  /** IFINDEX_ARRAY */
  readonly ifindexArray: number;
  rulesetNumber(id: RulesetId): number;
  /** IDENTITY_WORLD where the ipcache has no entry. */
  identityOf(address: Address): number;
}

export class Endpoints {
  readonly #parts: EndpointsParts;
  readonly #bound = new Map<number, Bound>();
  readonly #entries = new Set<number>();
  /** Slots that no endpoint has any more, but a copy or a run may. */
  readonly #retired = new Set<number>();
  /** Those of the last update: the very same again means the same interfaces. */
  #bindings: DesiredState['bindings'] | undefined;
  /** What `settings` said with it of interfaces without an entry. */
  #pending: DesiredState['pending'] | undefined;
  #version = 0;

  constructor(parts: EndpointsParts) {
    this.#parts = parts;
  }

  /** By slot: every endpoint that is wanted now. */
  *slots(): Generator<{ slot: number; families: readonly Family[]; adopted: boolean; owner: string }> {
    yield* this.#bound.values();
  }

  /** By ifindex. */
  *pods(): Generator<[ifindex: number, pod: ObjectKey]> {
    for (const [ifindex, { pod }] of this.#bound) yield [ifindex, pod];
  }

  /** Grows whenever a slot is given or taken. */
  get version(): number {
    return this.#version;
  }

  /** How many slots must fit: the highest in use and one. */
  get end(): number {
    let highest = 0;
    for (const { slot } of this.#bound.values()) highest = Math.max(highest, slot);
    return highest + 1;
  }

  /**
   * @param concerned pods and addresses whose endpoints or identities may differ; absent: any
   * @param adopted of a fresh build only: later its slots may be others'
   */
  update(state: DesiredState, concerned?: Concerned, adopted?: Adopted): void {
    const { bindings, pending } = state;
    const all = concerned === undefined || bindings !== this.#bindings || pending !== this.#pending;
    this.#bindings = undefined;
    if (all) for (const ifindex of [...this.#entries]) if (!bindings.has(ifindex)) this.#removeEntry(ifindex);
    for (const [ifindex, binding] of bindings) {
      if (all || this.#isConcerned(ifindex, binding, concerned)) this.#put(ifindex, binding, { state, adopted });
    }
    this.#bindings = bindings;
    this.#pending = pending;
  }

  #isConcerned(ifindex: number, binding: Binding, { pods, places }: Concerned): boolean {
    if (binding.kind !== 'endpoint') return false;
    if (pods.has(binding.pod)) return true;
    return this.#bound.get(ifindex)?.addresses.some((address) => places.has(address)) ?? false;
  }

  #put(ifindex: number, binding: Binding, { state, adopted }: Putting): void {
    const record = this.#recordOf(binding, state.compiled);
    if (record === undefined) {
      const pending = binding.kind === 'pending' ? binding.verdict : 'closed';
      // What only repeats `settings` is left out: no update, and so no grace period, stands before the one that binds it.
      if (pending === state.pending) {
        this.#removeEntry(ifindex);
        return;
      }
      this.#unbind(ifindex);
      this.#setEntry(ifindex, { slot: 0, pending });
    } else {
      const { pod } = binding as Binding & { pod: ObjectKey };
      const slot = this.#bind(ifindex, { pod, record, before: adopted?.endpointOf(ifindex) });
      this.#parts.tables.endpoints.set(slot, record);
      this.#setEntry(ifindex, { slot, pending: 'closed' });
    }
  }

  /** The slots of endpoints that are gone, for whoever gives them back: once no copy and no run knows them, and their tables are gone. */
  takeRetired(): number[] {
    const retired = [...this.#retired];
    this.#retired.clear();
    return retired;
  }

  #bind(ifindex: number, { pod, record, before }: Binder): number {
    const owner = `${ifindex} ${pod} ${record.address4 ?? ''} ${record.address6 ?? ''}`;
    const bound = this.#bound.get(ifindex);
    if (bound?.owner === owner) return bound.slot;
    this.#unbind(ifindex);
    const addresses = [record.address4, record.address6].filter((one) => one !== undefined);
    const families = addresses.map(familyOf);
    const same =
      before !== undefined && before.record.address4 === record.address4 && before.record.address6 === record.address6;
    const slot = same ? before.slot : this.#parts.slots.take(ifindex);
    if (same) this.#parts.slots.keep(slot);
    this.#retired.delete(slot);
    this.#bound.set(ifindex, { owner, pod, slot, addresses, families, adopted: same });
    this.#version++;
    return slot;
  }

  #unbind(ifindex: number): void {
    const bound = this.#bound.get(ifindex);
    if (bound === undefined) return;
    this.#bound.delete(ifindex);
    this.#version++;
    this.#retired.add(bound.slot);
    this.#parts.tables.endpoints.delete(bound.slot);
  }

  #setEntry(ifindex: number, entry: SlotEntry): void {
    this.#entries.add(ifindex);
    this.#tableOf(ifindex).set(ifindex, entry);
  }

  #removeEntry(ifindex: number): void {
    this.#unbind(ifindex);
    this.#entries.delete(ifindex);
    this.#tableOf(ifindex).delete(ifindex);
  }

  #tableOf(ifindex: number): Tables['slots'] {
    return ifindex < this.#parts.ifindexArray ? this.#parts.tables.slots : this.#parts.tables.slots_beyond;
  }

  /** Undefined for what is no endpoint; a binding to a pod that the compiled state does not have (yet) is none. */
  #recordOf(binding: Binding, compiled: DesiredState['compiled']): EndpointRecord | undefined {
    if (binding.kind !== 'endpoint') return undefined;
    const endpoint = compiled.endpoints.get(binding.pod);
    if (endpoint === undefined) return undefined;
    const { rulesetNumber, identityOf } = this.#parts;
    const of = (family: Family) => endpoint.addresses.find((address) => familyOf(address) === family);
    const address4 = of(4);
    const address6 = of(6);
    const linkLocal6 = binding.linkLocal[0];
    return {
      ifindex: binding.link.ifindex,
      ...(address4 !== undefined && { address4 }),
      ...(address6 !== undefined && { address6 }),
      ...(linkLocal6 !== undefined && { linkLocal6 }),
      identity4: address4 === undefined ? 0 : identityOf(address4),
      identity6: address6 === undefined ? 0 : identityOf(address6),
      ingress: endpoint.ingress === undefined ? 0 : rulesetNumber(endpoint.ingress),
      egress: endpoint.egress === undefined ? 0 : rulesetNumber(endpoint.egress),
    };
  }
}
