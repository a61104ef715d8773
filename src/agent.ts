/**
 * The agent of one node: wires the stages and keeps the data plane at what they say.
 *
 *   source ──ClusterChange──▶ Compiler ──CompiledState──────────┐
 *   (manifests, API server)                  │                  ├─▶ DesiredState ──▶ Dataplane.apply
 *   linkSource ──NodeLinks──▶ Bindings ──Binding per ifindex────┘   (one at a time, what comes meanwhile together)
 *        └──────────────────▶ Dataplane.guard                       (a new veth, before anything is known of it)
 *
 * Until the source has delivered everything that was there, and the links are listed, nothing happens but guarding.
 */
import type { Logger } from 'pino';
import { type Observable, retry, Subscription, timer } from 'rxjs';
import { Compiler } from './compile/compiler.ts';
import type { Applied, Dataplane, DesiredState } from './dataplane/contract.ts';
import { Bindings, type PendingMode } from './links/bindings.ts';
import type { ClusterChange, ClusterEvent, Warning } from './model/cluster.ts';
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
  #told: { warnings: ReadonlySet<string>; bindings: ReadonlyMap<number, string> } = {
    warnings: new Set(),
    bindings: new Map(),
  };

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#compiler = new Compiler({ node: parts.node });
    this.#bindings = new Bindings(parts.pending);
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
    for (const { ifindex } of links.pods.values()) {
      if (!this.#links?.pods.has(ifindex)) this.#parts.dataplane.guard(ifindex);
    }
    this.#links = links;
    this.#reconciler.mark();
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
    this.#compiler.apply(this.#arrived.splice(0));
    const links = this.#links;
    const { synced, revision } = this.#change;
    if (links === undefined || !synced) return;
    const hint = this.#compiler.takeChanges();
    const state = this.#desired(links);
    const whole = this.#unknown;
    this.#unknown = true;
    const applied = await this.#parts.dataplane.apply(state, whole ? undefined : hint);
    this.#unknown = false;
    this.#tellBindings(state.bindings);
    this.#tellApplied(state, applied, revision);
  }

  #desired({ pods, exits, ownAddresses }: NodeLinks): DesiredState {
    const compiled = this.#compiler.state;
    const bindings = this.#bindings.update(pods, compiled);
    return { compiled, bindings, exits, ownAddresses, pending: this.#bindings.pendingVerdict(compiled) };
  }

  #tellApplied(state: DesiredState, { generation, writes, milliseconds }: Applied, revision: string | undefined): void {
    const { endpoints, rulesets, sets } = state.compiled;
    const counts = { pods: endpoints.size, rulesets: rulesets.size, sets: sets.size, interfaces: state.bindings.size };
    const figures = { generation: Number(generation), writes, milliseconds: Math.round(milliseconds * 100) / 100 };
    this.#parts.log.info({ event: 'applied', revision, ...figures, ...counts }, 'state in force');
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
    this.#told = { ...this.#told, bindings: told };
  }
}
