/**
 * The agent of one node: wires the stages and keeps the data plane at what they say.
 *
 *   source ──ClusterChange──▶ Compiler ──CompiledState──────────┐
 *   (manifests, API server)                  │                  ├─▶ DesiredState ──▶ Dataplane.apply
 *   linkSource ──NodeLinks──▶ Bindings ──Binding per ifindex────┘   (one at a time, what comes meanwhile together)
 *        └──────────────────▶ Dataplane.guard, forget               (a new veth, before anything is known of it)
 *
 * Until the source has delivered everything that was there, interfaces are guarded and nothing in force is touched.
 */
import type { Logger } from 'pino';
import { type Observable, retry, Subscription, timer } from 'rxjs';
import type { AgentView, InForce } from './api/agent-view.ts';
import { beginningState } from './beginning.ts';
import { Compiler } from './compile/compiler.ts';
import type { Applied, Dataplane, DesiredState, Unprotected } from './dataplane/contract.ts';
import { Faults, type SourceName } from './faults.ts';
import { Guards } from './guards.ts';
import { Bindings, type PendingMode } from './links/bindings.ts';
import { isUrgent } from './links/urgent.ts';
import type { Address } from './model/address.ts';
import type { ClusterChange, ClusterEvent, ClusterObject, NetworkPolicy, ObjectKey } from './model/cluster.ts';
import type { StateChanges } from './model/compiled.ts';
import type { NodeLinks } from './model/links.ts';
import { AgentLog } from './observe/agent-log.ts';
import { Arrivals } from './observe/arrivals.ts';
import { NameIndex } from './observe/name-index.ts';
import { PolicyTimes } from './observe/policy-times.ts';
import { Timings } from './observe/timings.ts';
import { Reconciler } from './reconciler.ts';
import { shrinkHeap } from './shrink-heap.ts';
import { isUnchanged } from './unchanged.ts';

export interface AgentParts {
  readonly node: string;
  readonly source: Observable<ClusterChange>;
  readonly links: Observable<NodeLinks>;
  readonly dataplane: Dataplane;
  readonly pending: PendingMode;
  readonly log: Logger;
}

const SOURCE_RETRY_MS = 1_000;
/** A state that takes longer to come into force makes the node not ready. */
const PATIENCE_MS = 10_000;
const STALE_RETRY_MS = 2_000;
/** For what nothing waits for. Longer than a container runtime is at a pod's network. */
const UNHURRIED_MS = 500;

export class Agent implements AgentView {
  readonly startedAt = new Date();
  readonly node: string;
  readonly dataplane: Dataplane;
  readonly names: NameIndex;
  readonly timings = new Timings();
  readonly #parts: AgentParts;
  readonly #compiler: Compiler;
  readonly #bindings: Bindings;
  readonly #reconciler: Reconciler;
  readonly #subscriptions = new Subscription();
  /** Seen, not compiled yet: the compiled state must stand still while a data plane works with it. */
  #arrived: ClusterEvent[] = [];
  #links: NodeLinks | undefined;
  #change: Omit<ClusterChange, 'events'> = { synced: false, warnings: [] };
  readonly #arrivals: Arrivals;
  readonly #told: AgentLog;
  readonly #guards: Guards;
  readonly #policyTimes = new PolicyTimes();
  #current: InForce | undefined;
  #toldBindings: DesiredState['bindings'] | undefined;
  /** The data plane may hold anything. */
  #unknown = true;
  #ready = false;
  #announced = false;
  readonly #inForce: ReadonlyMap<number, readonly Address[]> | undefined;
  #begun = false;
  /** The last state is not in force at every interface. */
  #stale = false;
  readonly #faults = new Faults();
  /** When the oldest of what is not in force yet was seen; below, of what the step that runs, or has failed, takes in. */
  #behindSince: number | undefined;
  #applyingSince: number | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.node = parts.node;
    this.dataplane = parts.dataplane;
    this.#compiler = new Compiler({ node: parts.node });
    this.names = new NameIndex(parts.node, (address) => this.#compiler.podAt(address));
    this.#arrivals = new Arrivals(parts.node);
    this.#told = new AgentLog(parts.log, this.#arrivals, this.timings);
    this.#guards = new Guards({
      dataplane: parts.dataplane,
      faults: this.#faults,
      arrivals: this.#arrivals,
      told: this.#told,
      timings: this.timings,
      isThere: ({ ifindex }, role) => !this.#subscriptions.closed && this.#links?.[role].has(ifindex) === true,
    });
    this.#inForce = parts.dataplane.inForce?.();
    this.#bindings = new Bindings(parts.pending, this.#inForce);
    this.#reconciler = new Reconciler(
      () => this.#apply(),
      (error, retryMs) => {
        this.#faults.step(error);
        this.timings.next({ what: 'failure', of: 'apply' });
        this.#told.failed('apply-failed', 'state not applied', error, { retryMs });
      },
    );
  }

  /** Subscribes to the sources; from then on the data plane follows them. @throws what the data plane throws at its beginning */
  async start(): Promise<void> {
    const { source, links, dataplane, pending } = this.#parts;
    // Where an agent of another layout has left its state in force, ours says nothing yet of interfaces that come now.
    if (this.#inForce !== undefined) await dataplane.begin?.(pending === 'open' ? 'open' : 'closed');
    this.#subscriptions.add(links.pipe(this.#again('links')).subscribe((now) => this.#onLinks(now)));
    if (dataplane.kind === 'bpf') this.#subscriptions.add(this.#guards.lookAfter(() => this.#links));
    this.#subscriptions.add(source.pipe(this.#again('objects')).subscribe((change) => this.#onChange(change)));
  }

  /** What keeps this node from being ready, a line each; none once everything that was seen is in force. */
  faults(): string[] {
    const oldest = this.#applyingSince ?? this.#behindSince;
    const behind = oldest === undefined ? 0 : performance.now() - oldest;
    return [
      ...(this.#ready ? [] : [this.#change.synced ? 'no state is in force yet' : 'not synced yet']),
      ...this.#faults.lines(),
      ...this.unprotected().map(({ reason, pods }) => `${reason} (${pods.join(', ')})`),
      ...(this.#ready && behind > PATIENCE_MS ? [`changes wait for ${Math.round(behind / 1000)} s`] : []),
    ];
  }

  get inForce(): InForce | undefined {
    return this.#current;
  }

  get change(): Omit<ClusterChange, 'events'> {
    return this.#change;
  }

  unprotected(): readonly Unprotected[] {
    return this.dataplane.unprotected ?? [];
  }

  since(policy: ObjectKey, pod: ObjectKey): Date | undefined {
    return this.#policyTimes.since(policy, pod);
  }

  policy(key: ObjectKey): NetworkPolicy | undefined {
    return this.#compiler.policy(key);
  }

  *objects(): Generator<ClusterObject> {
    yield* this.#compiler.objects();
    yield* this.names.objects;
  }

  /** Stops following; what is in force stays in force. Resolves when an update that is on its way has ended. */
  async close(): Promise<void> {
    this.#subscriptions.unsubscribe();
    await this.#reconciler.close();
    this.dataplane.close();
  }

  #again<T>(what: SourceName) {
    const delay = (error: unknown) => {
      this.#faults.source(what, error);
      this.timings.next({ what: 'failure', of: 'source' });
      this.#told.failed('source-failed', 'source failed', error, { what, retryMs: SOURCE_RETRY_MS });
      return timer(SOURCE_RETRY_MS);
    };
    return (source: Observable<T>) => source.pipe(retry({ delay }));
  }

  #onLinks(links: NodeLinks): void {
    this.#faults.sourceIsWell('links');
    for (const ifindex of links.gone) this.#guards.forget(ifindex);
    this.#told.forget(links.gone);
    this.#told.exits(links.exits);
    if (links.missed)
      for (const ifindex of [...links.pods.keys(), ...links.exits.keys()]) this.dataplane.forget(ifindex);
    const before = this.#links;
    // Those that went while a step was on its way are still news to the next.
    this.#links = { ...links, gone: before?.gone.union(links.gone) ?? links.gone };
    for (const role of ['pods', 'exits'] as const) {
      for (const link of links[role].values()) {
        const isNew = links.gone.has(link.ifindex) || !before?.[role].has(link.ifindex);
        if (isNew || links.missed) this.#guards.guard(link, role, isNew ? links.since : undefined);
      }
    }
    this.#mark(isUrgent(before, links));
  }

  #mark(isUrgent: boolean): void {
    if (isUrgent) this.#behindSince ??= performance.now();
    if (isUrgent) this.#reconciler.mark();
    else this.#reconciler.markLater(UNHURRIED_MS);
  }

  #onChange({ events, ...change }: ClusterChange): void {
    this.#faults.sourceIsWell('objects');
    for (const event of events) this.#arrived.push(event);
    this.names.noteEvents(events);
    this.#arrivals.noteEvents(events);
    const isNew = !this.#change.synced || !change.synced || this.#change.revision !== change.revision;
    this.#change = change;
    this.#told.warnings(change.warnings);
    this.#mark(isNew || events.some((event) => this.#compiler.matters(event)));
  }

  async #apply(): Promise<void> {
    await this.dataplane.ready();
    const links = this.#links;
    const { synced, revision } = this.#change;
    if (links === undefined) return;
    if (!synced) return this.#begin(links);
    this.#applyingSince ??= this.#behindSince;
    this.#behindSince = undefined;
    const hint = this.#compile();
    const state = this.#desired(links, hint);
    this.#links = { ...links, gone: new Set() };
    const same = links.gone.size === 0 && !this.#stale && isUnchanged(this.#current?.state, state, hint);
    // Most of what happens in a cluster changes nothing here: then the data plane is not even asked.
    const applied = same ? this.#nothingNew() : await this.dataplane.apply(state, hint);
    this.#unknown = false;
    this.#tellBindings(state.bindings);
    this.#told.applied(state, applied, revision);
    this.#tell(state, hint, applied);
    this.#onApplied(applied);
  }

  #nothingNew(): Applied {
    return { generation: this.#current?.generation ?? 0n, writes: 0, milliseconds: 0 };
  }

  /** The very map of the state before has nothing new to say. */
  #tellBindings(bindings: DesiredState['bindings']): void {
    if (bindings === this.#toldBindings) return;
    this.#toldBindings = bindings;
    this.#told.bindings(bindings);
  }

  #tell(state: DesiredState, hint: StateChanges | undefined, { generation, writes }: Applied): void {
    const at = new Date();
    const milliseconds = performance.now() - (this.#applyingSince ?? performance.now());
    // One that wrote nothing brought no other state.
    this.#current = {
      ...(writes === 0 && this.#current ? this.#current : { at, generation, writes, milliseconds }),
      state,
    };
    this.names.noteOwnAddresses(state.ownAddresses);
    if (writes > 0) this.timings.next({ what: 'update', milliseconds, writes });
    this.#told.policies(this.#policyTimes.applied(state.compiled, hint, at), milliseconds);
  }

  #onApplied({ stale = [] }: Applied): void {
    this.#applyingSince = undefined;
    this.#stale = stale.length > 0;
    this.#faults.stepIsWell();
    for (const { ifindex, role, error } of stale) {
      this.#faults.link(ifindex, error);
      this.#told.failed('stale', 'still judged by the programs of before', error, { ifindex, role });
    }
    // The data plane goes on trying by itself; whether it came through is asked by another step.
    if (stale.length > 0) setTimeout(() => this.#reconciler.mark(), STALE_RETRY_MS).unref();
    if (!this.#ready) shrinkHeap();
    this.#ready = true;
    if (this.#announced || this.unprotected().length > 0) return;
    this.#announced = true;
    this.#parts.log.info({ event: 'ready', node: this.#parts.node }, 'ready');
  }

  /** On a node where nothing is in force yet, until the source is heard. Elsewhere the last state stays in force. */
  async #begin(links: NodeLinks): Promise<void> {
    if (this.#inForce !== undefined || this.#begun) return;
    const state = beginningState(links, this.#parts.pending);
    await this.dataplane.apply(state, undefined);
    this.#begun = true;
    this.#told.bindings(state.bindings);
  }

  /** What arrived, compiled; and what the state in force may differ in, undefined for anything. */
  #compile(): StateChanges | undefined {
    const whole = this.#unknown;
    this.#unknown = true;
    this.#policyTimes.noteEvents(this.#arrived, (policy) => this.#compiler.policy(policy));
    this.#compiler.apply(this.#arrived);
    this.#arrived = [];
    const hint = this.#compiler.takeChanges();
    return whole ? undefined : hint;
  }

  #desired(links: NodeLinks, hint: StateChanges | undefined): DesiredState {
    const compiled = this.#compiler.state;
    const { exits, ownAddresses } = links;
    const bindings = this.#bindings.update(links, compiled, hint?.endpoints);
    return { compiled, bindings, exits, ownAddresses, pending: this.#bindings.pendingVerdict(compiled) };
  }
}
