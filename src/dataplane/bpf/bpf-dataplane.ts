/**
 * The BPF data plane: wanted states -> maps, programs and their links. `wanted-content` works out what the maps must
 * hold, `copies` puts it in force, `flow-tables` and the attachments follow.
 */
import type { Address } from '../../model/address.ts';
import { EMPTY_STATE } from '../../model/compiled.ts';
import {
  type Applied,
  CapacityError,
  type Dataplane,
  type DesiredState,
  type Hint,
  type LinkRole,
  type StaleLink,
} from '../contract.ts';
import type { CopiedMap } from './abi.ts';
import { readInForce } from './adopted.ts';
import { Copies } from './copies.ts';
import type { Endpoints } from './endpoints.ts';
import { EventDecoder } from './events.ts';
import { FlowTables } from './flow-tables.ts';
import { Interfaces } from './interfaces.ts';
import type { Kernel } from './kernel.ts';
import { makeNames } from './names.ts';
import { RuleNumbers } from './rule-numbers.ts';
import { SlotPool } from './slot-pool.ts';
import type { Settings } from './tables.ts';
import { WantedContent } from './wanted-content.ts';

export interface BpfDataplaneOptions {
  /** Whether traffic of a pod to its own node is judged by its egress policies; else it always passes. */
  readonly judgeOwnNode?: boolean;
}

const NOTHING: Omit<DesiredState, 'pending'> = {
  compiled: EMPTY_STATE,
  bindings: new Map(),
  exits: new Map(),
  ownAddresses: new Set(),
};

const RENEWAL_MS = 1_000;
/** Rules that went out of use before their counts are looked for, which takes milliseconds: each may have a row per interface. */
const RULES_GONE = 16;

export class BpfDataplane implements Dataplane {
  readonly kind = 'bpf';
  readonly judgesOwnNode: boolean;
  readonly events: EventDecoder;
  readonly #kernel: Kernel;
  readonly #copies: Copies;
  readonly #flowTables: FlowTables;
  readonly ruleNumbers = new RuleNumbers();
  readonly #names = makeNames();
  readonly #slots: SlotPool;
  /** Absent: to be built from a whole state, because nothing was applied yet or an update broke off. */
  #content: WantedContent | undefined;
  #state: DesiredState | undefined;
  /** A call ended before its hint was looked at: the next one looks at everything. */
  #missedHint = false;
  /** A whole state was put in force by this process: what it does not name is left over. */
  #whole = false;
  readonly #interfaces: Interfaces;
  /** Since which change of theirs pods' names are recorded. */
  #named: { readonly endpoints: Endpoints; readonly version: number } | undefined;
  /** Tables of flows may be left over. */
  #tablesLeft = true;
  /** Interfaces may have gone, before this process or with a state, whose counts are still there. */
  #hasGone = true;
  /** Of the rules that went out of use, how many were looked for in the counts. */
  #collectedRules = 0;
  /** Tables of flows on their way out, each for a grace period: no state has to wait for that. */
  #collecting: Promise<unknown> = Promise.resolve();
  #renewal: NodeJS.Timeout | undefined;
  /** No maps of other layouts are left; only an agent before can have made them. */
  #alone = false;
  /** The call of `apply` that is on its way. */
  #applying: Promise<Applied> | undefined;
  #closed = false;

  constructor(kernel: Kernel, options: BpfDataplaneOptions = {}) {
    this.#kernel = kernel;
    this.judgesOwnNode = options.judgeOwnNode ?? false;
    this.#copies = new Copies({ kernel, onEqual: () => this.#collect() });
    this.#flowTables = new FlowTables(kernel.flows);
    this.#slots = new SlotPool(kernel.capacity('endpoints'), this.#flowTables.slots(), kernel.earlierSlots());
    this.#interfaces = new Interfaces(kernel.attachments);
    this.events = new EventDecoder({ abi: kernel.abi, names: this.#names, ruleNumbers: this.ruleNumbers });
  }

  /** Number of the state in force. */
  get generation(): bigint {
    return this.#copies.generation;
  }

  inForce(): ReadonlyMap<number, readonly Address[]> | undefined {
    if (this.#copies.generation === 0n && !this.#interfaces.inherited) return undefined;
    const bound = new Map<number, readonly Address[]>();
    for (const [ifindex, { address4, address6 }] of readInForce(this.#kernel)?.endpoints() ?? []) {
      if (!this.#kernel.attachments.alive(ifindex, 'pod')) continue;
      bound.set(
        ifindex,
        [address4, address6].filter((address) => address !== undefined),
      );
    }
    return bound;
  }

  async begin(pending: DesiredState['pending']): Promise<void> {
    if (this.#copies.generation !== 0n) return;
    await this.#copies.ready();
    this.#missedHint = true;
    this.#update({ ...NOTHING, pending }, undefined);
    this.#copies.put();
  }

  ready(): Promise<void> {
    return this.#copies.ready();
  }

  apply(state: DesiredState, hint: Hint): Promise<Applied> {
    this.#applying = this.#apply(state, hint);
    return this.#applying;
  }

  async #apply(state: DesiredState, hint: Hint): Promise<Applied> {
    const start = performance.now();
    const known = this.#missedHint ? undefined : hint;
    this.#missedHint = true;
    await this.#copies.ready();
    // To begin anew gives slots anew, and tables that are on their way out would take those of new owners with them.
    if (this.#content === undefined) await this.#collecting;
    await this.#interfaces.ensure(state);
    const content = this.#update(state, known);
    this.#state = state;
    this.#missedHint = false;
    this.#checkCapacity(content);
    await this.#flowTables.prepare(content.endpoints);
    if (this.#closed) throw new Error('the data plane was closed');
    // Names first: an event may come before this call is over.
    this.#recordNames(content, known, this.#copies.next);
    this.#interfaces.note(state);
    this.#whole = true;
    const writes = this.#copies.put();
    const stale = this.#renew();
    const applied = { generation: this.#copies.generation, writes, milliseconds: performance.now() - start };
    return stale.length === 0 ? applied : { ...applied, stale };
  }

  guard(ifindex: number, role: LinkRole = 'pod'): Promise<void> | undefined {
    return this.#interfaces.guard(ifindex, role);
  }

  forget(ifindex: number): void {
    this.#interfaces.forget(ifindex);
    this.#hasGone = true;
  }

  /** The state that the maps are to hold: the one that was put in force last, or failed to be. */
  get state(): DesiredState | undefined {
    return this.#state;
  }

  /** What the maps are to hold, once no call of `apply` is on its way; undefined before the first. Good until anything is awaited. */
  async content(): Promise<WantedContent | undefined> {
    // The next call may begin while this one waits.
    for (let seen: unknown; seen !== this.#applying; ) {
      seen = this.#applying;
      await this.#applying?.catch(() => {});
    }
    return this.#content;
  }

  /** How the state is judged, beyond who may reach whom. */
  settings({ pending }: DesiredState): Settings {
    return { pending, judgeOwnNode: this.judgesOwnNode };
  }

  /** Resolves when the copy that the last `apply` retired is up to date too, and nothing is left over. */
  async settled(): Promise<void> {
    await this.#kernel.attachments.settled();
    await this.#copies.settled();
    await this.#collecting;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#renewal);
    this.#copies.close();
    this.#kernel.close();
  }

  /** The state is in force: what stands in the way of its programs somewhere is tried again, and undoes nothing. */
  #renew(): StaleLink[] {
    clearTimeout(this.#renewal);
    const stale = this.#kernel.attachments.older() ? this.#kernel.attachments.renew(this.#interfaces.links) : [];
    if (stale.length > 0) this.#renewal = setTimeout(() => this.#renew(), RENEWAL_MS).unref();
    else this.#removeOtherLayouts();
    return stale;
  }

  /** Their maps are needed by their programs, and the slots there by whoever reads those programs' marks. */
  #removeOtherLayouts(): void {
    if (this.#alone || this.#kernel.attachments.older()) return;
    this.#kernel.removeOtherLayouts();
    this.#slots.forgetEarlier();
    this.#alone = true;
  }

  /** The wanted content of all maps; on an exception it is built anew the next time, from what is in force. */
  #update(state: DesiredState, hint: Hint): WantedContent {
    const known = this.#content;
    this.#content = undefined;
    const content = known ?? this.#build();
    content.update(state, known === undefined ? undefined : hint);
    const capacity = this.#kernel.capacity('endpoints');
    const { end } = content.endpoints;
    if (end > capacity) throw new CapacityError('endpoints', end, capacity);
    if (known === undefined) this.#copies.follow(content.tables);
    this.#content = content;
    return content;
  }

  #build(): WantedContent {
    this.#tablesLeft = true;
    this.#slots.restart(this.#flowTables.slots());
    return new WantedContent({
      abi: this.#kernel.abi,
      ruleNumbers: this.ruleNumbers,
      slots: this.#slots,
      adopted: readInForce(this.#kernel),
      portsCapacity: this.#kernel.capacity('ports'),
      settings: (state) => this.settings(state),
    });
  }

  #checkCapacity({ tables, portSets }: WantedContent): void {
    const check = (name: CopiedMap, needed: number): void => {
      const capacity = this.#kernel.capacity(name);
      if (needed > capacity) throw new CapacityError(name, needed, capacity);
    };
    for (const { codec, wanted } of Object.values(tables)) if (codec.kind === 'hash') check(codec.name, wanted.size);
    check('ports', portSets.end);
  }

  #recordNames({ endpoints, rows }: WantedContent, hint: Hint, generation: bigint): void {
    const { version } = endpoints;
    if (this.#named?.endpoints !== endpoints || this.#named.version !== version) {
      this.#names.pods.record(generation, endpoints.pods());
      this.#named = { endpoints, version };
    }
    if (hint?.rulesets.size !== 0) this.#names.policies.record(generation, rows.policies());
  }

  /** Both copies are equal: nobody knows what is in neither. Entries are gone first, then what stood behind them. */
  async #collect(): Promise<void> {
    if (this.#content === undefined || !this.#whole || this.#closed) return;
    const { endpoints } = this.#content;
    // The next pod that comes finds its tables made; without them it waits a little longer.
    const provided = this.#flowTables.provide(endpoints, this.#slots.next()).catch(() => {});
    this.#collecting = Promise.all([this.#collecting, this.#collectTables(endpoints), provided]);
    if (this.#interfaces.sweep()) this.#hasGone = true;
    this.#removeOtherLayouts();
    this.#forgetCounts();
  }

  /** Counts of interfaces that neither a state names nor a guard, and of rules that no state names any more. */
  #forgetCounts(): void {
    const { retirements } = this.ruleNumbers;
    if (!this.#hasGone && retirements - this.#collectedRules < RULES_GONE) return;
    const known = this.#interfaces.inUse;
    this.#kernel.forgetCounts({
      isGone: (ifindex) => !known.has(ifindex),
      isGoneRule: (rule) => !this.ruleNumbers.isUsed(rule),
    });
    this.#hasGone = false;
    this.#collectedRules = retirements;
  }

  /** Never rejects: tables that stay, and with them their slots, are collected the next time. */
  async #collectTables(endpoints: Endpoints): Promise<void> {
    const retired = endpoints.takeRetired();
    if (retired.length === 0 && !this.#tablesLeft) return;
    this.#tablesLeft = false;
    const freed = await this.#flowTables.collect(endpoints).catch(() => {
      this.#tablesLeft = true;
      return [];
    });
    const left = this.#flowTables.slots();
    for (const slot of new Set([...retired, ...freed])) if (!left.has(slot)) this.#slots.release(slot);
  }
}
