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
import { Compiler } from './compile/compiler.ts';
import type { Applied, Dataplane, DesiredState } from './dataplane/contract.ts';
import { Bindings, type PendingMode } from './links/bindings.ts';
import type { Address } from './model/address.ts';
import type { ClusterChange, ClusterEvent, Warning } from './model/cluster.ts';
import type { CompiledState, StateChanges } from './model/compiled.ts';
import type { Binding, NodeLinks } from './model/links.ts';
import { Reconciler } from './reconciler.ts';

export interface AgentParts {
  readonly node: string;
  readonly source: Observable<ClusterChange>;
  readonly links: Observable<NodeLinks>;
  readonly dataplane: Dataplane;
  readonly pending: PendingMode;
  readonly log: Logger;
}

const SOURCE_RETRY_MS = 1_000;

const NOTHING: CompiledState = {
  endpoints: new Map(),
  rulesets: new Map(),
  sets: new Map(),
  memberships: new Map(),
  awaited: new Map(),
};

export class Agent {
  readonly #parts: AgentParts;
  readonly #compiler: Compiler;
  readonly #bindings: Bindings;
  readonly #reconciler: Reconciler;
  readonly #subscriptions = new Subscription();
  /** Seen, not compiled yet: the compiled state must stand still while a data plane works with it. */
  #arrived: ClusterEvent[] = [];
  #links: NodeLinks | undefined;
  #change: Omit<ClusterChange, 'events'> = { synced: false, warnings: [] };
  /** Whether the data plane may hold anything: before the first state and after a failure. */
  #unknown = true;
  #ready = false;
  readonly #inForce: ReadonlyMap<number, readonly Address[]> | undefined;
  #begun = false;
  readonly #told = {
    warnings: new Set<string>() as ReadonlySet<string>,
    bindings: new Map() as ReadonlyMap<number, string>,
    revision: undefined as string | undefined,
  };

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#compiler = new Compiler({ node: parts.node });
    this.#inForce = parts.dataplane.inForce?.();
    this.#bindings = new Bindings(parts.pending, this.#inForce);
    this.#reconciler = new Reconciler(
      () => this.#apply(),
      (error, retryMs) => parts.log.error({ event: 'apply-failed', err: error, retryMs }, 'state not applied'),
    );
  }

  /** Subscribes to the sources; from then on the data plane follows them. */
  start(): void {
    const { source, links } = this.#parts;
    this.#subscriptions.add(links.pipe(this.#again('links')).subscribe((now) => this.#onLinks(now)));
    this.#subscriptions.add(source.pipe(this.#again('objects')).subscribe((change) => this.#onChange(change)));
  }

  /** Synced, and everything seen so far is in force. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Stops following; what is in force stays in force. Resolves when an update that is on its way has ended. */
  async close(): Promise<void> {
    this.#subscriptions.unsubscribe();
    await this.#reconciler.close();
    this.#parts.dataplane.close();
  }

  #again<T>(what: string) {
    const delay = (error: unknown) => {
      this.#parts.log.error({ event: 'source-failed', what, err: error, retryMs: SOURCE_RETRY_MS }, 'source failed');
      return timer(SOURCE_RETRY_MS);
    };
    return (source: Observable<T>) => source.pipe(retry({ delay }));
  }

  #onLinks(links: NodeLinks): void {
    for (const ifindex of links.gone) this.#parts.dataplane.forget?.(ifindex);
    for (const role of ['pods', 'exits'] as const) {
      for (const { ifindex } of links[role].values()) {
        if (links.gone.has(ifindex) || !this.#links?.[role].has(ifindex)) this.#guard(ifindex, role);
      }
    }
    // Those that went while a step was on its way are still news to the next.
    this.#links = { ...links, gone: this.#links?.gone.union(links.gone) ?? links.gone };
    this.#reconciler.mark();
  }

  /** One interface that cannot be guarded must not keep the others from it; the next step tries again. */
  #guard(ifindex: number, role: 'pods' | 'exits'): void {
    try {
      this.#parts.dataplane.guard(ifindex, role === 'pods' ? 'pod' : 'exit');
    } catch (error) {
      this.#parts.log.error({ event: 'guard-failed', ifindex, err: error }, 'interface not guarded');
    }
  }

  #onChange({ events, ...change }: ClusterChange): void {
    for (const event of events) this.#arrived.push(event);
    this.#change = change;
    this.#tellWarnings(change.warnings);
    this.#reconciler.mark();
  }

  async #apply(): Promise<void> {
    // What arrives until the data plane can write joins this step.
    await this.#parts.dataplane.ready();
    const links = this.#links;
    const { synced, revision } = this.#change;
    if (links === undefined) return;
    if (!synced) return this.#begin(links);
    const hint = this.#compile();
    const state = this.#desired(links);
    this.#links = { ...links, gone: new Set() };
    const applied = await this.#parts.dataplane.apply(state, hint);
    this.#unknown = false;
    this.#tellBindings(state.bindings);
    this.#tellApplied(state, applied, revision);
  }

  /**
   * On a node where nothing is in force yet: until the source is heard, what is there already goes on, for it may be in use
   * since long before we came, and what comes is judged as unknown. Elsewhere the last state stays in force.
   */
  async #begin({ pods, exits, ownAddresses }: NodeLinks): Promise<void> {
    if (this.#inForce !== undefined || this.#begun) return;
    const { pending } = this.#parts;
    const verdict = pending === 'closed' ? 'closed' : 'open';
    const bindings = new Map<number, Binding>();
    for (const link of pods.values()) {
      bindings.set(link.ifindex, { kind: 'pending', link, verdict, reason: 'nothing is known of any pod yet' });
    }
    const state = { compiled: NOTHING, bindings, exits, ownAddresses, pending: pending === 'open' ? 'open' : 'closed' };
    await this.#parts.dataplane.apply(state as DesiredState, undefined);
    this.#begun = true;
    this.#tellBindings(bindings);
  }

  /** What arrived, compiled; and what the state in force may differ in, undefined for anything. */
  #compile(): StateChanges | undefined {
    const whole = this.#unknown;
    this.#unknown = true;
    this.#compiler.apply(this.#arrived);
    this.#arrived = [];
    const hint = this.#compiler.takeChanges();
    return whole ? undefined : hint;
  }

  #desired(links: NodeLinks): DesiredState {
    const compiled = this.#compiler.state;
    const { exits, ownAddresses } = links;
    const bindings = this.#bindings.update(links, compiled);
    return { compiled, bindings, exits, ownAddresses, pending: this.#bindings.pendingVerdict(compiled) };
  }

  #tellApplied(state: DesiredState, { generation, writes, milliseconds }: Applied, revision: string | undefined): void {
    const { endpoints, rulesets, sets } = state.compiled;
    const counts = { pods: endpoints.size, rulesets: rulesets.size, sets: sets.size, interfaces: state.bindings.size };
    const figures = { generation: Number(generation), writes, milliseconds: Math.round(milliseconds * 100) / 100 };
    const level = writes > 0 || revision !== this.#told.revision ? 'info' : 'debug';
    this.#parts.log[level]({ event: 'applied', revision, ...figures, ...counts }, 'state in force');
    this.#told.revision = revision;
    if (this.#ready) return;
    this.#ready = true;
    this.#parts.log.info({ event: 'ready', node: this.#parts.node }, 'ready');
  }

  #tellWarnings(warnings: readonly Warning[]): void {
    const texts = new Set<string>();
    for (const { object, field, message, origin } of warnings) {
      const text = `${object} ${field} ${message}`;
      texts.add(text);
      if (this.#told.warnings.has(text)) continue;
      this.#parts.log.warn({ event: 'object', object, field, origin }, message);
    }
    this.#told.warnings = texts;
  }

  #tellBindings(bindings: ReadonlyMap<number, Binding>): void {
    const told = new Map<number, string>();
    for (const [ifindex, binding] of bindings) {
      const text =
        binding.kind === 'endpoint' ? `enforced for ${binding.pod}` : `${binding.verdict}: ${binding.reason}`;
      told.set(ifindex, text);
      if (this.#told.bindings.get(ifindex) === text) continue;
      const level = binding.kind === 'pending' && binding.verdict === 'closed' ? 'warn' : 'info';
      this.#parts.log[level]({ event: 'interface', ifindex, name: binding.link.name }, text);
    }
    this.#told.bindings = told;
  }
}
